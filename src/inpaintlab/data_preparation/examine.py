"""Examine one picture file: decode it once and collect everything that `verify` counts."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass

from PIL import Image

from inpaintlab.data.files.images import decode_jpeg, is_deep, undecodable, upright
from inpaintlab.data.files.items import Item


@dataclass(frozen=True)
class Facts:
    """The facts about one file.

    Args:
        digest: first 64 bits of the SHA-256 of its content; 0 if it cannot be read.
        bytes: its length.
        size: (width, height) in pixels; None if it does not decode.
        mode: Pillow's name of the colour mode (RGB, L, CMYK, RGBA, P, ...); "16-bit" for more than 8 bits per channel.
        link: whether it is a symbolic link.
        turned: whether an EXIF tag rotates it.
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
    """Read and decode one file. Errors are part of the result; none is raised."""
    path = item.path
    link = os.path.islink(path)  # pathlib would raise for a name that is too long
    try:
        content = path.read_bytes()
    except ValueError as error:  # an impossible name, with a null byte for example
        return Facts(wrong=f"cannot be read ({error})")
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
            turned = upright(image) is not None
            wrong = "16 bits per channel; convert to 8" if deep else ""
            return Facts(digest, len(content), image.size, mode, link, turned, wrong)
    except Exception as error:  # Pillow's plugins raise many kinds of errors for damaged files
        return Facts(digest, len(content), link=link, wrong=undecodable(error))
