"""Memory of the loader's workers over a long run with a list of 1.8 million pictures, the size of Places365.

Every worker reads small pictures through the training stream; its own memory (what no other process shares) is
printed as the run goes on. `--list` does the same with a Python list of items, which is what grows.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from inpaintlab.data.datamodule import loader
from inpaintlab.data.geometry import Geometry
from inpaintlab.data.holes import Box
from inpaintlab.data.items import Files, Item
from inpaintlab.data.lists import Names
from inpaintlab.data.stream import Stream, TrainSet

PICTURES, SIZE, BATCH = 1_803_460, 16, 64
FOLDER = "data_large_standard/a/airfield"  # names as long as real ones


def private(process: int) -> float:
    """Megabytes that a process shares with no other."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_")) / 1024


def main() -> None:
    """Print the table; the numbers of samples are those of the first argument, 1 000 000 by default."""
    numbers = [argument for argument in sys.argv[1:] if argument.isdigit()]
    total, workers = int(numbers[0]) if numbers else 1_000_000, min(4, os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / FOLDER).mkdir(parents=True)
        rng = np.random.default_rng(0)
        for i in range(8):
            picture = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
            Image.fromarray(picture).save(Path(folder) / FOLDER / f"0000000{i}.png")
        files = Files(Path(folder), Names(f"{FOLDER}/0000000{i % 8}.png" for i in range(PICTURES)))
        items: Sequence[Item] = list(files) if "--list" in sys.argv else files
        dataset = TrainSet(items, Geometry(SIZE), Box(), seed=0)
        batches = total // BATCH
        stream: Any = loader(dataset, workers, batch_sampler=Stream(len(items), BATCH, batches, seed=0))
        kind = type(items).__name__
        print(f"{PICTURES} pictures in a {kind}, {workers} workers; this process {private(os.getpid()):.0f} MB")
        print("| samples | own memory of each worker, MB |\n|---:|---|")
        looks = {1, *(batches * tenth // 10 for tenth in (1, 2, 4, 6, 8)), batches - 8 * workers}
        for done, _ in enumerate(stream, 1):
            if done in looks:  # the last one while the workers are still there
                used = ", ".join(f"{private(child.pid):.0f}" for child in active_children() if child.pid)
                print(f"| {done * BATCH} | {used} |", flush=True)


if __name__ == "__main__":
    main()
