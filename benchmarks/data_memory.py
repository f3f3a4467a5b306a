"""Memory of the worker processes over a long run with a list of 1.8 million pictures, the size of Places365.

Workers read small pictures through two epochs of the training stream. The benchmark measures their private memory as
the run proceeds, and compares it with that of a plain list of items. A number as argument sets the number of samples;
`--publish` writes the table into the README.
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

from inpaintlab.data.files.items import Files, Item
from inpaintlab.data.files.lists import Names
from inpaintlab.data.geometry import Geometry
from inpaintlab.data.holes.box import Box
from inpaintlab.data.stream import Stream, TrainSet
from inpaintlab.data.workers import loader
from inpaintlab.tables.publish import report

PICTURES, SIZE, BATCH = 1_803_460, 16, 64
FOLDER = "data_large_standard/a/airfield"  # names as long as real ones
LOOKS = (0.02, 0.1, 0.25, 0.5, 0.75, 1.0)  # when to measure, as parts of the run


def private(process: int) -> float:
    """Return the private memory of a process in megabytes."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_")) / 1024


def write_pictures(folder: Path) -> Files:
    """Write eight small pictures, and return them as a list of `PICTURES` files."""
    (folder / FOLDER).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(8):
        picture = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / FOLDER / f"0000000{i}.png")
    return Files(folder, Names(f"{FOLDER}/0000000{i % 8}.png" for i in range(PICTURES)))


def watch(items: Sequence[Item], workers: int, batches: int) -> list[float]:
    """Return the private memory of the largest worker at each measurement, in megabytes."""
    dataset = TrainSet(items, Geometry(SIZE), Box(), seed=0)
    stream: Any = loader(dataset, workers, batch_sampler=Stream(len(items), BATCH, batches, seed=0))
    last = batches - 8 * workers  # before the workers end
    looks, found = [min(round(look * batches), last) for look in LOOKS], []
    for done, _ in enumerate(stream, 1):
        if done in looks:
            found.append(max(private(child.pid) for child in active_children() if child.pid))
            print(f"{type(items).__name__}, {done * BATCH} samples: {found[-1]:.0f} MB", file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Print the table, and write it into the README if asked."""
    numbers = [argument for argument in sys.argv[1:] if argument.isdigit()]
    batches, workers = (int(numbers[0]) if numbers else 2 * PICTURES) // BATCH, min(4, os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as folder:
        files = write_pictures(Path(folder))
        ours = watch(files, workers, batches)
        plain = watch(list(files), workers, batches)
    lines = [f"| of {batches * BATCH} samples | " + " | ".join(f"{look:.0%}" for look in LOOKS) + " |"]
    lines.append("|---|" + "---:|" * len(LOOKS))
    for name, found in (("ours", ours), ("a list of items", plain)):
        lines.append(f"| {name}, MB | " + " | ".join(f"{value:.0f}" for value in found) + " |")
    note = f"Private memory of the largest of {workers} worker processes, with a list of {PICTURES} pictures."
    report("bench memory", "\n".join([*lines, "", note]), publish="--publish" in sys.argv)


if __name__ == "__main__":
    main()
