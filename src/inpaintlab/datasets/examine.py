"""What one picture file is: decoded once, with everything that `verify` counts."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from inpaintlab.data.files import decode_jpeg, is_deep
from inpaintlab.data.items import Item

TURNED = 274  # EXIF tag of the orientation


@dataclass(frozen=True)
class Facts:
    """About one file.

    Args:
        digest: of its bytes, 64 bits of a SHA-256; 0 if it cannot be read.
        bytes: its length.
        size: (width, height) in pixels, or None if it does not decode.
        mode: Pillow's name: RGB, L (grey), CMYK, RGBA, P (palette), ...; "16-bit" for deeper ones.
        link, turned: whether it is a symbolic link, and whether an EXIF tag turns it.
        wrong: why it cannot be used, or "".
    """

    digest: int = 0
    bytes: int = 0
    size: tuple[int, int] | None = None
    mode: str = ""
    link: bool = False
    turned: bool = False
    wrong: str = ""


def examine(item: Item) -> Facts:
    """Read and decode one file; never raises for what is wrong with it."""
    path = item.path
    link = path.is_symlink()
    try:
        content = path.read_bytes()
    except OSError as error:
        if link and not path.exists():
            return Facts(link=True, wrong=f"broken link to {os.readlink(path)}")
        return Facts(link=link, wrong="missing" if isinstance(error, FileNotFoundError) else str(error.strerror))
    digest = int.from_bytes(hashlib.sha256(content).digest()[:8], "little")
    try:
        with Image.open(io.BytesIO(content)) as image:
            deep = is_deep(image)
            mode = "16-bit" if deep else image.mode
            if decode_jpeg(content, image) is None:
                image.load()
            turned = image.getexif().get(TURNED, 1) != 1
            wrong = "16 bits per channel; convert to 8" if deep else ""
            return Facts(digest, len(content), image.size, mode, link, turned, wrong)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "no picture" if isinstance(error, UnidentifiedImageError) else str(error)
        return Facts(digest, len(content), link=link, wrong=f"does not decode ({reason})")
