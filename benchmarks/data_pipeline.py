"""Speed of the data pipeline: pictures per second and core from JPEG files to 256-pixel crops, holes, and transport.

Two plain pipelines serve as comparison. All candidates use one thread, take turns in each round, and read the same
files: photographs from scikit-image, written as JPEG in a common and in a large size. `--publish` writes the tables
into the README.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, median
from typing import Any

import cv2
import numpy as np
import PIL
import torch
from PIL import Image
from skimage import data as photographs
from torch.utils.data import Dataset
from torchvision import transforms

from inpaintlab.data import seeds
from inpaintlab.data.datamodule import to_batch
from inpaintlab.data.files.items import Files
from inpaintlab.data.files.lists import Names
from inpaintlab.data.geometry import Geometry
from inpaintlab.data.holes import bins
from inpaintlab.data.holes.free_form import FreeForm
from inpaintlab.data.stream import TrainSet
from inpaintlab.data.workers import loader
from inpaintlab.tables.publish import report

ROUNDS, SECONDS = 7, 0.6
SIZE, SHORT_SIDE = 256, 288
SIZES = ((1024, 768), (481, 321))
Work = Callable[[int], object]


def write_files(folder: Path, size: tuple[int, int]) -> list[Path]:
    """Write the photographs as JPEG files of a size (width, height)."""
    files = []
    for name in ("astronaut", "coffee", "rocket", "chelsea"):
        path = folder / f"{name}-{size[0]}.jpg"
        photograph: Callable[[], Any] = getattr(photographs, name)  # skimage.data resolves its names lazily
        Image.fromarray(photograph()).resize(size, Image.Resampling.LANCZOS).save(path, quality=90)
        files.append(path)
    return files


def rate(work: Work) -> float:
    """Return calls per second of processor time."""
    start, calls = time.process_time(), 0
    while time.process_time() - start < SECONDS:
        work(calls)
        calls += 1
    return calls / (time.process_time() - start)


def alternate(candidates: dict[str, Work]) -> dict[str, float]:
    """Return the median rate of each candidate over rounds in which they take turns."""
    for work in candidates.values():
        work(0)
    rates: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(ROUNDS):
        for name, work in candidates.items():
            rates[name].append(rate(work))
    return {name: median(values) for name, values in rates.items()}


def pipelines(files: list[Path]) -> dict[str, Work]:
    """Return PIL + torchvision and OpenCV + albumentations as in tutorials, ours, and ours with a hole."""
    import albumentations as A

    plain = transforms.Compose(
        [
            transforms.Resize(SHORT_SIDE),
            transforms.RandomCrop(SIZE),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
        ]
    )
    compose = A.Compose(
        [A.SmallestMaxSize(SHORT_SIDE), A.RandomCrop(SIZE, SIZE), A.HorizontalFlip(), A.ToFloat(max_value=255)]
    )
    geometry = Geometry(SIZE, "short_side_then_random_crop", SHORT_SIDE)
    items = Files(files[0].parent, Names(path.name for path in files))
    dataset = TrainSet(items, geometry, FreeForm(), seed=0)

    def albumentations(call: int) -> object:
        picture = cv2.imread(str(files[call % len(files)]))
        assert picture is not None
        return compose(image=cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))["image"].transpose(2, 0, 1)

    def ours(call: int) -> object:
        picture = items[call % len(items)].load_for_training(geometry.at_least)
        return geometry.train(picture, seeds.generator("bench", call))

    return {
        "torchvision": lambda call: plain(Image.open(files[call % len(files)]).convert("RGB")),
        "albumentations": albumentations,
        "ours": ours,
        "with hole": lambda call: dataset[(*divmod(call, len(dataset)), call)],
    }


def holes() -> list[str]:
    """Return a table of microseconds per drawn hole; training draws all bins equally often."""
    source, names = FreeForm(), bins.IRREGULAR

    def draw(bin: str, own: bool) -> Work:
        of_sample = seeds.generator("bench")  # in training the generator that chose the crop also draws the hole
        return lambda call: source.draw(seeds.generator("bench", call) if own else of_sample, bin, SIZE, SIZE)

    rates = alternate({f"{bin} {own}": draw(bin, own) for bin in names for own in (False, True)})
    lines = [
        f"| holes of {SIZE} x {SIZE}, microseconds | {' | '.join(names)} | mean |",
        "|---|" + "---:|" * (len(names) + 1),
    ]
    for own, what in ((False, "drawn"), (True, "seeded and drawn")):
        each = [1e6 / rates[f"{bin} {own}"] for bin in names]
        lines.append(f"| {what} | {' | '.join(f'{value:.0f}' for value in [*each, mean(each)])} |")
    return lines


class Ready(Dataset[Any]):
    """Ready-made samples, so that only their way from the worker to the batch on the device takes time."""

    def __init__(self, floats: bool) -> None:
        picture = np.zeros((3, SIZE, SIZE), np.float32 if floats else np.uint8)
        hole = np.zeros((1, SIZE, SIZE), picture.dtype)
        self.sample = {"image": torch.from_numpy(picture), "hole": torch.from_numpy(hole), "name": "x"}
        if floats:  # as in released code: the input with a mask channel, and the mask for each colour
            self.sample = {"image": torch.zeros(3, SIZE, SIZE), "input": torch.zeros(4, SIZE, SIZE)}
            self.sample["mask"] = torch.zeros(3, SIZE, SIZE)

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, number: int) -> Any:
        return self.sample


def transport() -> dict[str, float]:
    """Return pictures per second (wall time) through one worker process, as bytes and as floats."""
    device = "cuda" if torch.cuda.is_available() else "cpu"

    def batches(floats: bool) -> Iterator[Any]:
        return iter(loader(Ready(floats), 1, batch_size=16))

    streams = {name: batches(name == "floats") for name in ("bytes", "floats")}
    rates: dict[str, list[float]] = {name: [] for name in streams}
    for turn in range(ROUNDS + 1):
        for name, stream in streams.items():
            start, count = time.perf_counter(), 0
            while time.perf_counter() - start < SECONDS:
                raw = next(stream)
                on_device = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in raw.items()}
                if name == "bytes":
                    to_batch(on_device)
                count += 16
            if turn:  # the first round includes the start of the worker
                rates[name].append(count / (time.perf_counter() - start))
    return {name: median(values) for name, values in rates.items()}


def main() -> None:
    """Print the tables, and write them into the README if asked."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    lines = [
        "| pictures per second and core | PIL + torchvision | OpenCV + albumentations | ours | ours with a hole "
        "| ours to PIL + torchvision |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            rates = alternate(pipelines(write_files(Path(folder), size)))
            numbers = " | ".join(f"{value:.0f}" for value in rates.values())
            ratio = rates["ours"] / rates["torchvision"]
            lines.append(f"| JPEG of {size[0]} x {size[1]} | {numbers} | {ratio:.2f} |")

    lines += ["", *holes()]
    moved = transport()
    lines += [
        "",
        f"From one worker to a batch of floats on the device: {moved['bytes']:.0f} pictures per second sent as bytes, "
        f"{moved['floats']:.0f} sent as floats with ready-made input and mask.",
    ]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    notes = (
        f"One thread, median of {ROUNDS} alternating rounds of {SECONDS} s (processor time; transport: wall time); "
        f"shorter side {SHORT_SIDE}, crop {SIZE}; OpenCV {cv2.__version__}, Pillow {PIL.__version__}; device: {device}."
    )
    text = "\n".join([*lines, "", notes])
    report("bench data", text, publish="--publish" in sys.argv)


if __name__ == "__main__":
    main()
