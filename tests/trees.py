"""Small trees of files in the documented layouts of the data sets; tests write them where they need them."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from PIL import Image

CATEGORIES = {"/a/airfield": 0, "/a/apartment_building/outdoor": 8, "/b/beach": 48}


def picture(path: Path, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> Path:
    """A small picture whose pixels depend on its path, in the format of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(str(path).encode()))
    coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}[path.suffix.lower()]
    coarse.convert(mode).save(path, kind)
    return path


def places2(root: Path, variant: str = "small", per_category: int = 3) -> Path:
    """Places365 with three categories, four validation pictures each."""
    number = {"small": "256", "large": "large", "easy": ""}[variant]
    train, validation, classes = [], [], []
    count = 0
    for category, label in CATEGORIES.items():
        easy = category[3:].replace("/", "-")
        classes.append(f"{category} {label}")
        for i in range(1, per_category + 1):
            name = f"{category}/{i:08d}.jpg"
            train.append(f"{name} {label}")
            picture(root / (f"places365_standard/train/{easy}/{i:08d}.jpg" if not number else f"data_{number}{name}"))
        for _ in range(4):
            count += 1
            name = f"Places365_val_{count:08d}.jpg"
            validation.append(f"{name} {label}")
            picture(root / (f"places365_standard/val/{easy}/{name}" if not number else f"val_{number}/{name}"))
    if number:
        for i in (1, 2):
            picture(root / f"test_{number}/Places365_test_{i:08d}.jpg")
        lists = {"train_standard": train, "train_challenge": train[:-1], "val": validation}
        for name, lines in lists.items():
            (root / f"places365_{name}.txt").write_text("\n".join(lines) + "\n")
        (root / "categories_places365.txt").write_text("\n".join(classes) + "\n")
    return root


def celeba(root: Path, count: int = 6) -> Path:
    """CelebA: two pictures of six for each split."""
    lines = [f"{i:06d}.jpg {min(2, (i - 1) * 3 // count)}" for i in range(1, count + 1)]
    for line in lines:
        picture(root / "img_align_celeba" / line.split()[0], (30, 40))
    (root / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")
    return root


def celebahq(root: Path, naming: str = "zero") -> Path:
    """CelebA-HQ: the faces 0-3 and 29996-29999, lists that count from zero, and the mapping to CelebA."""
    numbers = [0, 1, 2, 3, 29996, 29997, 29998, 29999]
    for n in numbers:
        picture(root / (f"CelebA-HQ-img/{n}.jpg" if naming == "zero" else f"data256x256/{n + 1:05d}.jpg"), (32, 32))
    (root / "train.flist").write_text("".join(f"{n}.jpg\n" for n in numbers[:6]))
    (root / "test.flist").write_text("".join(f"{n}.jpg\n" for n in numbers[6:]))
    rows = [f"{n} {100 + i} {101 + i:06d}.jpg" for i, n in enumerate(numbers)]
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_text("\n".join(["idx orig_idx orig_file", *rows]) + "\n")
    parts = [f"{101 + i:06d}.jpg {part}" for i, part in enumerate([0, 0, 0, 0, 1, 1, 2, 2])]
    (root / "list_eval_partition.txt").write_text("\n".join(parts) + "\n")
    return root


def paris(root: Path, count: int = 8) -> Path:
    """Paris StreetView: upper-case extensions in training, numbered PNG files in the evaluation set."""
    for i in range(count):
        picture(root / "paris_train_original" / f"48.8425{i:02d}_2.344968_90_-004.JPG", (94, 54))
    for i in (1, 2, 3):
        picture(root / "paris_eval/paris_eval_gt" / f"{i:03d}_im.png", (54, 54))
        picture(root / "paris_eval/paris_eval_corrupted" / f"{i:03d}_im.png", (54, 54))
    return root


def mask(
    path: Path, share: float, rng: np.random.Generator | None = None, *, clear: bool = False, size: int = 64
) -> Path:
    """A white hole of about that share: random blobs, or a central block that keeps clear of the border."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hole = np.zeros((size, size), np.uint8)
    inner = slice(size // 8, size - size // 8) if clear else slice(None)
    part = hole[inner, inner]
    noise = (rng or np.random.default_rng(0)).random((8, 8)).repeat(-(-len(part) // 8), 0).repeat(-(-len(part) // 8), 1)
    noise = noise[: len(part), : len(part)] + 1e-6 * np.arange(part.size).reshape(part.shape) / part.size
    part[noise >= np.quantile(noise, 1 - min(1.0, share * hole.size / part.size))] = 255
    if not clear:
        hole[0, 0] = 255
    Image.fromarray(hole).save(path)
    return path


def nvidia_test(root: Path, count: int, size: int = 64) -> Path:
    """The order of the test set of Liu et al. 2018: six bins, in each `count` masks at the border and `count` clear."""
    rng = np.random.default_rng(0)
    for bin in range(6):
        for i in range(2 * count):
            share = 0.1 * bin + 0.03 + 0.05 * rng.random()
            mask(root / f"{2 * count * bin + i:05d}.png", share, rng, clear=i >= count, size=size)
    return root


def codec_corpus(root: Path) -> Path:
    """A clone of codec-corpus: CID22 for training and validation, one picture of it grey, and Kodak."""
    for i in range(4):
        mode = "L" if i == 3 else "RGB"
        picture(root / "CID22/CID22-512/training" / f"{1000 + i}.png", (40, 40), mode)
    for i in range(2):
        picture(root / "CID22/CID22-512/validation" / f"{2000 + i}.png", (40, 40))
    for i, size in enumerate([(48, 32), (32, 48), (48, 32)], start=1):
        picture(root / "kodak" / f"{i}.png", size)
    return root


def bsds500(root: Path, inside: str = "BSDS500/data/images") -> Path:
    """BSDS500 as its repository holds it, or with the splits elsewhere below `root`."""
    for number, (split, count) in enumerate((("train", 3), ("val", 1), ("test", 2))):
        for i in range(count):
            picture(root / inside / split / f"{100 * number + i}.jpg", (48, 32))
    return root
