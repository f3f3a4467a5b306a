"""Reading pictures and masks from files, and finding those that do not decode."""

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
from PIL import ExifTags, Image, UnidentifiedImageError

from inpaintlab.data.files import lists
from inpaintlab.errors import UserError
from inpaintlab.utils.atomic_write import write_text

Picture = NDArray[np.uint8]


class BadPicture(UserError):
    """A file that is no readable 8-bit picture; the message names it."""


def list_pictures(folder: str | Path, what: str = "pictures") -> list[Path]:
    """All picture files below `folder`; see `lists.scan`."""
    folder = Path(folder).expanduser()
    return [folder / name for name in lists.scan(folder, what)]


def read_picture(path: str | Path) -> Picture:
    """A picture as RGB, uint8 (H, W, 3), turned upright as its EXIF tag says.

    Raises:
        BadPicture: if it does not decode, or has 16 bits per channel.
    """
    with _named(path):
        return np.asarray(_open(path).convert("RGB"))


def read_fast(path: str | Path, at_least: int | None = None) -> Picture:
    """A picture as `read_picture` gives it, in less time.

    Args:
        at_least: a JPEG file is decoded at half of its size or less, in steps of an eighth, as long as its shorter
            side keeps so many pixels. Twice as fast for large files, and another low-pass filter than decoding and
            then resizing: for training only. None decodes all pixels, to exactly what `read_picture` gives.

    Raises:
        BadPicture: as `read_picture`.
    """
    content = _bytes(path)
    if content[:2] == b"\xff\xd8":
        # A file that cannot be opened is opened again below, where the error, whatever it is, gets its sentence.
        with contextlib.suppress(Exception), Image.open(io.BytesIO(content)) as header:
            decoded = decode_jpeg(content, header, at_least)
            if decoded is not None:
                turn = upright(header)
                return decoded if turn is None else np.asarray(Image.fromarray(decoded).transpose(turn))
    with _named(path):
        return np.asarray(_open(path, content).convert("RGB"))


def decode_jpeg(content: bytes, header: Image.Image, at_least: int | None = None) -> Picture | None:
    """What a JPEG file holds as RGB, not turned, decoded twice as fast as by Pillow.

    Args:
        content: the file.
        header: the same, opened by Pillow and not loaded.
        at_least: as for `read_fast`.

    Returns:
        None for what is left to Pillow: other files, four colours (rounded otherwise), and all that this decoder has
        a warning about, torn files above all.
    """
    if header.format not in ("JPEG", "MPO") or header.mode not in ("RGB", "L"):
        return None
    least = at_least or 0
    factor = 2 if at_least else 1  # between a half and the whole, decoding less takes longer
    try:
        return simplejpeg.decode_jpeg(content, "RGB", min_height=least, min_width=least, min_factor=factor)
    except ValueError:
        return None


_UPRIGHT = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(image: Image.Image) -> Image.Transpose | None:
    """How an opened file is to be turned as its EXIF tag says; None for not at all, or if its EXIF block is damaged."""
    # Pillow parses the block as far as it is asked to, and trusts it: TypeError, struct.error, AttributeError,
    # ValueError, SyntaxError and others come out of damaged ones. None of them says anything about the pixels.
    try:
        return _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return None


def read_grey(path: str | Path) -> Picture:
    """A mask file as grey levels, uint8 (H, W). A transparent picture is a mask by its colours, not its alpha."""
    with _named(path):
        image = _open(path)
        return np.asarray(image.convert("RGB" if image.mode in ("RGBA", "P") else "L").convert("L"))


def is_deep(image: Image.Image) -> bool:
    """Whether an opened file has more than 8 bits per channel. Pillow opens deep colour files as if they had 8."""
    return image.mode.startswith(("I", "F")) or any(";16" in str(part[3]) for part in getattr(image, "tile", ()))


def _bytes(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"no such picture: {path}") from None
    except OSError as error:
        raise BadPicture(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # a name that cannot be one
        raise BadPicture(f"{path}: cannot be read ({error})") from None


def _open(path: str | Path, content: bytes | None = None) -> Image.Image:
    """The file, decoded and turned upright; to be called within `_named`."""
    with Image.open(io.BytesIO(_bytes(path) if content is None else content)) as image:
        if is_deep(image):
            raise BadPicture(f"{path}: pictures of 16 bits and more are not accepted; convert to 8 bit")
        image.load()
        turn = upright(image)
        return image.copy() if turn is None else image.transpose(turn)


@contextlib.contextmanager
def _named(path: str | Path) -> Iterator[None]:
    """Make a BadPicture, which names the file, of whatever stops Pillow from decoding it.

    Its plugins raise far more than they state for a damaged file: struct.error, zlib.error, IndexError, EOFError, ...
    """
    try:
        yield
    except (BadPicture, FileNotFoundError):
        raise
    except Exception as error:
        raise BadPicture(f"{path}: {undecodable(error)}") from None


def undecodable(error: Exception) -> str:
    """What is said of a file that Pillow does not decode."""
    reason = "no picture" if isinstance(error, UnidentifiedImageError) else str(error) or type(error).__name__
    return f"does not decode ({reason})"


def find_bad(files: Sequence[Path], cache: Path | None = None, threads: int = 8) -> list[tuple[Path, str]]:
    """Decode every file once and return those that fail, missing ones too, with the reason.

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
    """What is remembered of a file; of one that is not there nothing is, since it is never good."""
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
