"""What a number needs beside it: which code, which machine, which versions."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any


@lru_cache
def commit() -> str:
    """The checkout's commit, with "+changes" if files differ from it; the version if this is no checkout."""
    root = Path(__file__).resolve().parents[3]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) != root:
            raise OSError
        # Pages and results are written by the programs themselves; what matters is the code and its configs.
        changed = git("status", "--porcelain", "--", "src", "conf", "pyproject.toml", "requirements.lock")
        return git("rev-parse", "--short=10", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return f"inpaintlab {version('inpaintlab')}"


def processor(device: str = "cpu") -> str:
    """What the system calls the processor, or the GPU."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    named = [line for line in cpuinfo.read_text().splitlines() if "model name" in line] if cpuinfo.exists() else []
    return named[0].partition(":")[2].strip() if named else platform.processor() or platform.machine()


def conditions() -> dict[str, Any]:
    """Date, commit, versions and processor."""
    import torch

    names = ("torch", "lightning", "albumentations", "opencv-python-headless", "numpy")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "python": platform.python_version(),
        **{name: version(name) for name in names},
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
