"""Record where numbers come from: the code, the versions of the packages and the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path


@lru_cache
def commit() -> str:
    """The commit of this checkout, with "+changes" if its files differ; without a checkout, the package's version."""
    root = Path(__file__).resolve().parents[3]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) != root:
            raise OSError
        # The programs write pages and results into the checkout; only changes of the code and its configs count.
        changed = git("status", "--porcelain", "--", "src", "conf", "pyproject.toml", "requirements.lock")
        return git("rev-parse", "--short=10", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return f"inpaintlab {version('inpaintlab')}"


def processor(device: str = "cpu") -> str:
    """The model name of the processor or, for a CUDA device, of the GPU."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    named = [line for line in cpuinfo.read_text().splitlines() if "model name" in line] if cpuinfo.exists() else []
    return named[0].partition(":")[2].strip() if named else platform.processor() or platform.machine()


@dataclass(frozen=True)
class Conditions:
    """When, with which code and on which machine numbers were made.

    Args:
        date: in UTC, to the minute.
        commit: see `commit`.
        python, torch, lightning, albumentations, opencv, numpy: versions.
        processor: its architecture.
        cores: of the machine; None if the system does not tell.
        threads: that torch uses on the CPU. Another number sums in another order.
    """

    date: str
    commit: str
    python: str
    torch: str
    lightning: str
    albumentations: str
    opencv: str
    numpy: str
    processor: str
    cores: int | None
    threads: int


def conditions() -> Conditions:
    """The conditions of this moment."""
    import torch

    return Conditions(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=commit(),
        python=platform.python_version(),
        torch=version("torch"),
        lightning=version("lightning"),
        albumentations=version("albumentations"),
        opencv=version("opencv-python-headless"),
        numpy=version("numpy"),
        processor=platform.machine(),
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
    )
