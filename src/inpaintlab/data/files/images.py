"""Read pictures and masks from files, and find files that do not decode."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from inpaintlab.data.files import lists
from inpaintlab.errors import UserError
from inpaintlab.utils.atomic_write import write_text

Picture = NDArray[np.uint8]


class BadPicture(UserError):
    """A file is not a readable 8-bit picture; the message names it."""


def list_pictures(folder: str | Path, what: str = "pictures") -> list[Path]:
    """Return all picture files below `folder`; see `lists.scan`."""
    folder = Path(folder).expanduser()
    return [folder / name for name in lists.scan(folder, what)]


def read_picture(path: str | Path) -> Picture:
    """Return a picture as RGB, uint8 (H, W, 3), rotated as its EXIF tag says.

    Raises:
        BadPicture: if the file does not decode, or has 16 bits per channel.
        FileNotFoundError: if there is no such file.
    """
    with _named(path):
        return np.asarray(_open(path).convert("RGB"))


def read_fast(path: str | Path, at_least: int | None = None) -> Picture:
    """Read a picture like `read_picture`, but faster.

    Args:
        at_least: smallest length of the shorter side, in pixels. JPEG files are decoded at half their size or less, in
            steps of an eighth, down to this length. This is twice as fast for large files, but its low-pass filter
            differs from decoding and then resizing, so it is for training only. None decodes all pixels and returns
            exactly what `read_picture` returns.

    Raises:
        BadPicture, FileNotFoundError: as `read_picture`.
    """
    content = _bytes(path)
    if content[:2] == b"\xff\xd8":
        # Any error is ignored here: the file is opened again below, where `_named` turns the error into a message.
        with contextlib.suppress(Exception), Image.open(io.BytesIO(content)) as header:
            decoded = decode_jpeg(content, header, at_least)
            if decoded is not None:
                turn = upright(header)
                return decoded if turn is None else np.asarray(Image.fromarray(decoded).transpose(turn))
    with _named(path):
        return np.asarray(_open(path, content).convert("RGB"))


def decode_jpeg(content: bytes, header: Image.Image, at_least: int | None = None) -> Picture | None:
    """Decode a JPEG file twice as fast as Pillow does.

    Args:
        content: the bytes of the file.
        header: the same file, opened by Pillow and not loaded.
        at_least: as for `read_fast`.

    Returns:
        RGB, uint8 (H, W, 3), not rotated. None for files that Pillow must decode: other formats, CMYK (rounded
        differently here), and files that this decoder warns about, truncated ones above all.
    """
    if header.format not in ("JPEG", "MPO") or header.mode not in ("RGB", "L"):
        return None
    least = at_least or 0
    factor = 2 if at_least else 1  # scales between a half and one take longer than full size
    try:
        return simplejpeg.decode_jpeg(content, "RGB", min_height=least, min_width=least, min_factor=factor)
    except ValueError:
        return None


_UPRIGHT = {  # by EXIF orientation; 1 is upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(image: Image.Image) -> Image.Transpose | None:
    """Return how to rotate an opened file as its EXIF tag says; None if upright, or if the EXIF block is damaged."""
    # Pillow parses the block on demand and trusts it. Damaged blocks raise TypeError, struct.error, AttributeError,
    # ValueError, SyntaxError and others, while the pixels may be fine.
    try:
        return _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return None


def read_grey(path: str | Path) -> Picture:
    """Return a mask file as grey levels, uint8 (H, W), from its colours; an alpha channel is ignored."""
    with _named(path):
        image = _open(path)
        return np.asarray(image.convert("RGB" if image.mode in ("RGBA", "P") else "L").convert("L"))


def is_deep(image: Image.Image) -> bool:
    """Whether an opened file has more than 8 bits per channel. Pillow reports 8 bits for 16-bit colour files."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else ()
    return image.mode.startswith(("I", "F")) or any(";16" in str(tile[3]) for tile in tiles)


def _bytes(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"no such picture: {path}") from None
    except OSError as error:
        raise BadPicture(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # an impossible name, with a null byte for example
        raise BadPicture(f"{path}: cannot be read ({error})") from None


def _open(path: str | Path, content: bytes | None = None) -> Image.Image:
    """Return the file, decoded and rotated upright. Call it within `_named`."""
    with Image.open(io.BytesIO(_bytes(path) if content is None else content)) as image:
        if is_deep(image):
            raise BadPicture(f"{path}: more than 8 bits per channel; convert to 8 bit")
        image.load()
        turn = upright(image)
        return image.copy() if turn is None else image.transpose(turn)


@contextlib.contextmanager
def _named(path: str | Path) -> Iterator[None]:
    """Turn any error while Pillow decodes a file into a BadPicture that names the file.

    Pillow's plugins raise undocumented errors for damaged files: struct.error, zlib.error, IndexError, EOFError, ...
    """
    try:
        yield
    except (BadPicture, FileNotFoundError):
        raise
    except Exception as error:
        raise BadPicture(f"{path}: {undecodable(error)}") from None


def undecodable(error: Exception) -> str:
    """Return the message for a file that Pillow does not decode."""
    reason = "not a picture" if isinstance(error, UnidentifiedImageError) else str(error) or type(error).__name__
    return f"does not decode ({reason})"


def find_bad(files: Sequence[Path], cache: Path | None = None, threads: int = 8) -> list[tuple[Path, str]]:
    """Decode every file once and return those that fail or are missing, with the reason.

    Args:
        cache: file that remembers which pictures (path, size, modification time) decoded, so that the next check is
            quick. It only saves time: one that cannot be read or written is ignored.
    """
    known = _read_cache(cache)
    keys = {path: _key(path) for path in files}
    new = [path for path in files if keys[path] not in known]
    with ThreadPoolExecutor(threads) as pool:  # decoding releases the interpreter lock
        reasons = list(_progress(pool.map(_reason, new), len(new)))
    bad = [(path, reason) for path, reason in zip(new, reasons, strict=True) if reason]
    if cache is not None and new:
        broken = {path for path, _ in bad}
        good = known | {key for path, key in keys.items() if path not in broken}
        with contextlib.suppress(OSError):
            write_text(cache, json.dumps(sorted(good)))
    return bad


def _read_cache(cache: Path | None) -> set[str]:
    """Return the keys of the files that are known to decode; none without a readable cache."""
    if cache is None:
        return set()
    try:
        return set(json.loads(cache.read_text()))
    except (OSError, ValueError, TypeError):
        return set()


def _key(path: Path) -> str:
    """Return the cache key of a file, or "" for a missing file, which never enters the cache."""
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return ""
    return f"{path.absolute()}|{stat.st_size}|{stat.st_mtime_ns}"


def _reason(path: Path) -> str:
    try:
        read_fast(path)
    except (BadPicture, OSError) as error:
        return str(error)
    return ""


def _progress(results: Iterable[str], total: int) -> Iterable[str]:
    if total < 200:
        return results
    from rich.progress import track

    return track(results, "checking pictures", total)
