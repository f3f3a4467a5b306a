"""Contextual attention beside a plain layer written as the public port computes it: time, memory, and the difference.

Times are taken in this process, in turns, round by round, with the same inputs, after outputs and gradients were found
to agree. Memory is measured in a process of its own per entry. `--publish` puts the table into the pages.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import contextual_plain
import torch
from torch import Tensor

from inpaintlab.layers.contextual import ContextualAttention
from inpaintlab.tables.publish import report
from inpaintlab.utils import provenance

CHANNELS, TOLERANCE = 128, 1e-5
SIDES, BATCHES = (32, 64, 128), (1, 4)  # of the map at the matching resolution, an eighth of the picture's
LARGEST_PLAIN = 64  # at 128 the plain layer's matrices of 1 GB are there about 19 times, 38 times in training


def inputs(side: int, batch: int, device: str) -> tuple[Tensor, Tensor]:
    """Random non-negative features, as after a ReLU, and a centred hole of a quarter of the area."""
    features = torch.rand(batch, CHANNELS, 2 * side, 2 * side, generator=torch.Generator().manual_seed(0))
    hole = torch.zeros(batch, 1, 2 * side, 2 * side)
    hole[..., side // 2 : -side // 2, side // 2 : -side // 2] = 1
    return features.to(device).requires_grad_(), hole.to(device)


def forward(name: str, features: Tensor, hole: Tensor) -> Tensor:
    """The output of one contender, without gradients if they are switched off."""
    if name == "plain":
        return contextual_plain.attend(features, hole)
    return ContextualAttention(follows="port", mask="per_sample")(features, hole)


def work(name: str, train: bool, features: Tensor, hole: Tensor) -> Tensor:
    """A forward pass, or one with its backward pass: then the features' gradient."""
    if not train:
        with torch.no_grad():
            return forward(name, features, hole)
    (gradient,) = torch.autograd.grad(forward(name, features, hole).square().sum(), features)
    return gradient


def clock(device: str) -> float:
    """Process CPU time, or time on a GPU's clock when all is done."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def alternate(works: dict[str, Callable[[], object]], rounds: int, device: str) -> dict[str, float]:
    """Median seconds over rounds in which the works take turns, after one round unmeasured."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for i in range(rounds + 1):
        for name, run in works.items():
            start = clock(device)
            run()
            if i:
                seconds[name].append(clock(device) - start)
    return {name: median(values) for name, values in seconds.items()}


def peak() -> float:
    """Most megabytes that this process has used so far. (`ru_maxrss` begins with what the parent process had used.)"""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return float(line.split()[1]) / 1024


def extra_memory(name: str, train: bool, side: int, batch: int, device: str) -> float:
    """Megabytes above what is in use before; to be called in a process that has done nothing else."""
    small = inputs(8, 1, device)
    work(name, train, *small)  # libraries are loaded
    features, hole = inputs(side, batch, device)
    if device == "cpu":
        before = peak()
        work(name, train, features, hole)
        return peak() - before
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work(name, train, features, hole)
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def memory(name: str, train: bool, side: int, batch: int, device: str) -> float:
    """`extra_memory` in a process of its own."""
    arguments = ["--memory", name, str(int(train)), str(side), str(batch), "--device", device]
    run = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
    return float(run.stdout)


def gap(a: Tensor, b: Tensor) -> float:
    """Relative 2-norm of the difference."""
    return ((a - b).norm() / b.norm()).item()


def row(train: bool, side: int, batch: int, rounds: int, device: str) -> str:
    """One line of the table."""
    features, hole = inputs(side, batch, device)
    names = ["plain", "ours"] if side <= LARGEST_PLAIN else ["ours"]
    difference = "-"
    if side <= LARGEST_PLAIN:
        both = [work(name, train, features, hole) for name in ("ours", "plain")]
        difference = f"{gap(*both):.0e}"
        if not train and gap(*both) > TOLERANCE:
            raise SystemExit(f"ours and the plain layer differ by {difference}, more than {TOLERANCE}")
    works: dict[str, Callable[[], object]] = {name: partial(work, name, train, features, hole) for name in names}
    seconds = alternate(works, rounds if side < 64 else max(1, rounds // 4), device)
    megabytes = {name: memory(name, train, side, batch, device) for name in names}
    label = f"{side} x {side}, batch {batch}, {'forward + backward' if train else 'forward'}"
    ours = f"{1e3 * seconds['ours']:.0f} ms", f"{megabytes['ours']:.0f} MB"
    if "plain" not in names:
        return f"| {label} | - | {ours[0]} | - | - | {ours[1]} | - | - |"
    plain = f"{1e3 * seconds['plain']:.0f} ms", f"{megabytes['plain']:.0f} MB"
    faster, smaller = (x["plain"] / x["ours"] for x in (seconds, megabytes))
    return (
        f"| {label} | {plain[0]} | {ours[0]} | {faster:.1f} | {plain[1]} | {ours[1]} | {smaller:.1f} | {difference} |"
    )


def main() -> None:
    """Check, measure, print; put the table into the pages if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12, help="at 32 x 32; a quarter of it for larger maps")
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--publish", action="store_true", help="put the table into the pages")
    parser.add_argument("--memory", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory:
        name, *numbers = options.memory
        train, side, batch = map(int, numbers)
        print(extra_memory(name, bool(train), side, batch, options.device))
        return
    lines = [
        "| positions | plain | ours | times faster | plain, memory | ours, memory | times less | difference |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for side in options.sides:
        for batch in options.batches:
            if side > LARGEST_PLAIN and batch > 1:
                continue  # samples follow each other there, so it takes so many times longer, and no more memory
            for train in (False, True):
                lines.append(row(train, side, batch, options.rounds, options.device))
                print(lines[-1], file=sys.stderr, flush=True)
    timed = "Process CPU time of one thread" if options.device == "cpu" else "Time"
    notes = (
        f"{timed} of {provenance.processor(options.device)}, torch {torch.__version__}, float32, {CHANNELS} channels, "
        "random non-negative features with a centred hole of a quarter of the area; medians of alternating rounds. "
        "Memory is the peak above features and hole, each in a process of its own. The difference is the relative "
        "2-norm of that of the outputs, or of the features' gradients. At 128 x 128 positions (pictures of "
        "1024 x 1024) the plain layer would need 19 matrices of 1 GB, 38 in training, and is not run."
    )
    text = "\n".join([*lines, "", notes])
    report("bench contextual", text, publish=options.publish)


if __name__ == "__main__":
    main()
