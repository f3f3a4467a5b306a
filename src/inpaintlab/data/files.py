"""Reading pictures and masks from files, and finding those that do not decode."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from inpaintlab.atomic import write_text
from inpaintlab.errors import UserError

Picture = NDArray[np.uint8]
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


class BadPicture(UserError):
    """A file that is no readable 8-bit picture; the message names it."""


def list_pictures(folder: str | Path, what: str = "pictures") -> list[Path]:
    """All picture files below `folder`, sorted by path.

    Raises:
        FileNotFoundError: if the folder does not exist or holds no picture.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"the folder of {what} does not exist: {folder.absolute()}")
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    if not files:
        kinds = ", ".join(sorted(SUFFIXES))
        raise FileNotFoundError(f"no {what} in {folder.absolute()} (looked for {kinds}, in all sub-folders)")
    return files


def read_picture(path: str | Path, at_least: int | None = None) -> Picture:
    """A picture as RGB, uint8 (H, W, 3), turned upright as its EXIF tag says.

    Args:
        at_least: a JPEG file may be decoded at a half, a quarter or an eighth of its size, as long as its shorter side
            keeps so many pixels. Twice as fast for large files, and another low-pass filter than decoding and then
            resizing: for training only.

    Raises:
        BadPicture: if it does not decode, or has 16 bits per channel.
    """
    return np.asarray(_open(path, at_least).convert("RGB"))


def read_alpha(path: str | Path) -> Picture | None:
    """The alpha channel of a picture, uint8 (H, W), or None if it has none."""
    image = _open(path)
    return np.asarray(image.getchannel("A")) if "A" in image.getbands() else None


def read_grey(path: str | Path) -> Picture:
    """A mask file as grey levels, uint8 (H, W). A transparent picture is a mask by its colours, not its alpha."""
    image = _open(path)
    return np.asarray(image.convert("RGB" if image.mode in ("RGBA", "P") else "L").convert("L"))


def _open(path: str | Path, at_least: int | None = None) -> Image.Image:
    try:
        with Image.open(path) as image:
            if at_least is not None and image.format == "JPEG":
                image.draft(None, (at_least, at_least))
            if image.mode.startswith(("I", "F")):
                raise BadPicture(f"{path}: {image.mode} pictures (16 bits and more) are not accepted; convert to 8 bit")
            image.load()
            return ImageOps.exif_transpose(image)
    except FileNotFoundError:
        raise FileNotFoundError(f"no such picture: {path}") from None
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadPicture(f"{path}: does not decode ({error})") from None


def find_bad(files: Sequence[Path], cache: Path | None = None, threads: int = 8) -> list[tuple[Path, str]]:
    """Decode every file once and return those that fail, with the reason.

    Args:
        cache: remembers which files (path, size, time of change) were good, so that a second scan is quick.
    """
    known: set[str] = set(json.loads(cache.read_text())) if cache is not None and cache.exists() else set()
    keys = {path: _key(path) for path in files}
    new = [path for path in files if keys[path] not in known]
    with ThreadPoolExecutor(threads) as pool:  # decoding releases the interpreter lock
        reasons = list(_progress(pool.map(_reason, new), len(new)))
    bad = [(path, reason) for path, reason in zip(new, reasons, strict=True) if reason]
    if cache is not None and new:
        broken = {path for path, _ in bad}
        good = known | {key for path, key in keys.items() if path not in broken}
        write_text(cache, json.dumps(sorted(good)))
    return bad


def _key(path: Path) -> str:
    stat = path.stat()
    return f"{path.absolute()}|{stat.st_size}|{stat.st_mtime_ns}"


def _reason(path: Path) -> str:
    try:
        _open(path)
    except (BadPicture, OSError) as error:
        return str(error)
    return ""


def _progress(results: Iterable[str], total: int) -> Iterable[str]:
    if total < 200:
        return results
    from rich.progress import track

    return track(results, "checking pictures", total)
