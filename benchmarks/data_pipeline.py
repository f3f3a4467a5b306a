"""Pictures per second and worker, from JPEG files to 256-pixel crops, beside a plain PIL + torchvision pipeline.

Both run in this process, one thread, alternating round by round, on the same files: photographs that scikit-image
ships, written as JPEG in a usual and in a large size. `--publish` puts the table into the README.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import PIL
import torch
from PIL import Image
from skimage import data as photographs
from torchvision import transforms

from inpaintlab.data import bins, seeds
from inpaintlab.data.geometry import Geometry
from inpaintlab.data.holes import FreeForm
from inpaintlab.data.items import Item
from inpaintlab.data.stream import TrainSet
from inpaintlab.tables.publish import fill_blocks

ROUNDS, SECONDS = 5, 0.6
SIZE, SHORT_SIDE = 256, 288


def write_files(folder: Path, height: int) -> list[Path]:
    """The photographs as JPEG files of that height."""
    files = []
    for name in ("astronaut", "coffee", "rocket", "chelsea"):
        picture = Image.fromarray(getattr(photographs, name)())
        path = folder / f"{name}-{height}.jpg"
        picture.resize((round(picture.width * height / picture.height), height)).save(path, quality=90)
        files.append(path)
    return files


def rate(work: Callable[[int], object]) -> float:
    """Calls per second."""
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        work(calls)
        calls += 1
    return calls / (time.perf_counter() - start)


def alternate(candidates: dict[str, Callable[[int], object]]) -> dict[str, float]:
    """Median rates over rounds in which the candidates take turns."""
    for work in candidates.values():
        work(0)
    rates: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(ROUNDS):
        for name, work in candidates.items():
            rates[name].append(rate(work))
    return {name: median(values) for name, values in rates.items()}


def main() -> None:
    """Print the table; put it into the README if asked."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    plain = transforms.Compose(
        [
            transforms.Resize(SHORT_SIDE),
            transforms.RandomCrop(SIZE),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
        ]
    )
    lines = ["| | PIL + torchvision | ours | ours with a hole | ratio |", "|---|---:|---:|---:|---:|"]
    with tempfile.TemporaryDirectory() as folder:
        for label, height in (("about 480 x 320", 320), ("about 1150 x 768", 768)):
            files = write_files(Path(folder), height)
            geometry = Geometry(SIZE, "short_side_then_random_crop", SHORT_SIDE)
            items = [Item(path.name, path) for path in files]
            dataset = TrainSet(items, geometry, FreeForm(), seed=0)

            def read_plain(call: int, files: list[Path] = files) -> object:
                return plain(Image.open(files[call % len(files)]).convert("RGB"))

            def read_ours(call: int, items: list[Item] = items, geometry: Geometry = geometry) -> object:
                return geometry.train(
                    items[call % len(items)].load_for_training(geometry.at_least), seeds.generator("bench", call)
                )

            def read_all(call: int, dataset: TrainSet = dataset) -> object:
                return dataset[divmod(call, len(dataset))]

            rates = alternate({"plain": read_plain, "ours": read_ours, "all": read_all})
            ratio = rates["ours"] / rates["plain"]
            numbers = " | ".join(f"{rates[key]:.0f}/s" for key in ("plain", "ours", "all"))
            lines.append(f"| JPEG, {label} | {numbers} | {ratio:.2f} |")

    source = FreeForm()

    def draw(call: int, bin: str) -> object:
        return source.draw(seeds.generator("bench", call), bin, SIZE, SIZE)

    holes = alternate({bin: (lambda call, bin=bin: draw(call, bin)) for bin in bins.IRREGULAR})  # type: ignore[misc]
    lines += ["", "| holes of 256 x 256 | " + " | ".join(holes) + " |", "|---|" + "---:|" * len(holes)]
    lines.append("| per second | " + " | ".join(f"{value:.0f}" for value in holes.values()) + " |")
    notes = (
        f"One thread, median of {ROUNDS} alternating rounds of {SECONDS} s; shorter side {SHORT_SIDE}, crop {SIZE}; "
        f"OpenCV {cv2.__version__}, Pillow {PIL.__version__}."
    )
    text = "\n".join([*lines, "", notes])
    print(text)
    if "--publish" in sys.argv:
        for page in fill_blocks("bench data", text):
            print(f"updated {page}")


if __name__ == "__main__":
    main()
