"""Choose precision and memory layout, on request by a short benchmark on this machine."""

from __future__ import annotations

import json
import platform
import time
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from inpaintlab.errors import check_choice
from inpaintlab.training.record import Precision
from inpaintlab.utils.atomic_write import locked, write_text

KNOWN = ("32", "bf16-mixed", "auto")
ROUNDS = 12
WORTH_IT = 1.3  # smallest speed-up of bfloat16 over float32 in the probe for which "auto" chooses bfloat16


def choose(precision: str | int, channels_last: str | bool, device: str, memory: Path | None = None) -> Precision:
    """Resolve "auto" in the options.

    Args:
        precision: "32", "bf16-mixed" or "auto".
        channels_last: true, false or "auto", which means together with bf16-mixed.
        device: "cpu" or "cuda".
        memory: file that keeps the result of the probe on this machine, so that all rows of a table are trained alike,
            even on different days. Remove it to run the probe again.

    Raises:
        UserError: for an unknown precision.
    """
    precision = str(precision)
    check_choice("trainer.precision", precision, KNOWN)
    why = "as configured"
    if precision == "auto":
        faster = _remembered(device, memory)
        precision = "bf16-mixed" if faster >= WORTH_IT else "32"
        why = f"probe: bf16 in channels_last is {faster:.1f} times as fast as float32"
    layout = precision == "bf16-mixed" if channels_last == "auto" else bool(channels_last)
    return Precision(precision, layout, why)


def _remembered(device: str, memory: Path | None) -> float:
    """How many times faster bfloat16 is than float32, from the file if it knows this machine."""
    if memory is None:
        plain, mixed = probe(device)
        return plain / mixed
    what = torch.cuda.get_device_name() if device == "cuda" else f"{platform.node()} {platform.machine()}"
    key = f"{what}, torch {torch.__version__}"
    # Of several runs of a sweep, one runs the probe.
    with locked(memory.with_name(f".{memory.name}.lock"), what="the probe of the precision"):
        known: dict[str, float] = json.loads(memory.read_text()) if memory.exists() else {}
        if key not in known:
            plain, mixed = probe(device)
            known[key] = plain / mixed
            write_text(memory, json.dumps(known, indent=1) + "\n")
    return known[key]


@lru_cache
def probe(device: str) -> tuple[float, float]:
    """Seconds of a small convolution block, forward and backward, in float32 and in bfloat16 with channels_last.

    The best of several rounds in which the two take turns, so that other work on the machine affects both.
    """
    state = torch.random.get_rng_state()
    blocks = []
    for mixed in (False, True):
        torch.manual_seed(0)
        layout = torch.channels_last if mixed else torch.contiguous_format
        block = nn.Sequential(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1)).to(device)
        picture = torch.rand(4, 32, 64, 64, device=device).contiguous(memory_format=layout)
        blocks.append((mixed, block.to(memory_format=layout), picture))
    best = [float("inf"), float("inf")]
    for turn in range(ROUNDS):
        for mixed, block, picture in blocks:
            start = time.perf_counter()
            with torch.autocast(device, torch.bfloat16, enabled=mixed):
                loss = block(picture).float().mean()
            loss.backward()
            loss.item()  # waits until a GPU has finished
            if turn >= 2:  # the first rounds prepare kernels
                best[mixed] = min(best[mixed], time.perf_counter() - start)
    torch.random.set_rng_state(state)
    return best[0], best[1]
