"""Make of an original layout, or its archives, what a training reads: a folder and a list for every split.

OUT/train/, OUT/val/ and OUT/test/ hold links to the originals, or copies that were made smaller, under the names that
pictures have in every layout of their set; OUT/train.txt and so on list them; OUT/prepared.json says how it was made
and is written last. The originals are only read. Started again, what is there already stays.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from inpaintlab.atomic import replacing, require_writable, write_text
from inpaintlab.data.files import BadPicture, read_picture
from inpaintlab.data.lists import Names
from inpaintlab.data.named import PREPARED, SPLITS, NamedSet
from inpaintlab.data.pictures import Folder
from inpaintlab.datasets import archives
from inpaintlab.datasets.parallel import spread
from inpaintlab.errors import UserError

STARTED = "preparing.json"
ORIGINAL = "original"  # below OUT, what came out of archives
QUALITY = 95  # of smaller copies, as JPEG


class Task(NamedTuple):
    """One picture: from where to where."""

    source: Path
    target: Path


def unpacked(source: NamedSet, out: Path, again: Callable[[Path], NamedSet]) -> NamedSet:
    """The set itself, or that in OUT/original if its root holds the archives; lists beside them are linked there."""
    found = archives.find(source.root, source.archives())
    if not found:
        return source
    into = require_writable(out / ORIGINAL)
    for archive, renamed in found.items():
        archives.unpack(archive, into, renamed)
    for path in source.root.iterdir():
        if path.suffix in archives.LISTS and not (into / path.name).exists():
            (into / path.name).symlink_to(path.resolve())
    return again(into)


def prepare(
    source: Folder | NamedSet, out: Path, *, short_side: int | None = None, processes: int | None = None
) -> tuple[dict[str, int], list[str]]:
    """Write OUT.

    Args:
        short_side: pictures whose shorter side is longer become copies of that size; None links all of them.

    Returns:
        The number of pictures per split, and those that were left out because they do not decode (only seen when they
        are made smaller).

    Raises:
        UserError: if OUT holds something else, or two pictures have the same name.
    """
    made: dict[str, Any] = {
        "set": type(source).__name__,
        "options": source.options if isinstance(source, NamedSet) else {},
        "from": str(source.root.resolve()),
        "short_side": short_side,
    }
    _claim(source.root, out, made)
    root = source.root.resolve()
    counts: dict[str, int] = {}
    left_out: list[str] = []
    for split in SPLITS:
        paths = source.names(split)
        names = _names(source, split, paths)
        tasks = (Task(root / path, out / split / name) for path, name in zip(paths, names, strict=True))
        results = spread(partial(place, short_side=short_side), tasks, len(paths), f"preparing {split}", processes)
        wrong = {i: reason for i, reason in enumerate(results) if reason}
        left_out += wrong.values()
        kept = [name for i, name in enumerate(names) if i not in wrong]
        head = f"# {made['set']}, {split}, {json.dumps(made['options'])}, from {len(paths)} pictures"
        write_lines(out / f"{split}.txt", [head, *kept])
        counts[split] = len(kept)
    write_text(out / PREPARED, json.dumps(made | {"pictures": counts}, indent=1) + "\n")
    (out / STARTED).unlink(missing_ok=True)
    return counts, left_out


def place(task: Task, short_side: int | None) -> str:
    """Link a picture, or write a smaller copy; returns why it could not be done, or ""."""
    source, target = task
    try:
        if target.is_symlink() and os.readlink(target) == str(source):
            return ""
        if short_side is not None:
            if target.exists() and not target.is_symlink():
                return ""
            with Image.open(source) as image:
                large = min(image.size) > short_side
            if large:
                _shrink(source, target, short_side)
                return ""
        target.unlink(missing_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)
    except (BadPicture, OSError, SyntaxError) as error:
        if isinstance(error, PermissionError):
            raise
        return str(error)
    return ""


def _shrink(source: Path, target: Path, short_side: int) -> None:
    picture = read_picture(source)
    scale = short_side / min(picture.shape[:2])
    width, height = (max(short_side, round(side * scale)) for side in (picture.shape[1], picture.shape[0]))
    smaller = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
    with replacing(target) as temporary:
        Image.fromarray(smaller).save(temporary, quality=QUALITY)  # PNG takes no notice of it


def _claim(root: Path, out: Path, made: dict[str, Any]) -> None:
    """Make sure that OUT is new, or a run of the same that was stopped or is finished."""
    root, resolved = root.resolve(), out.resolve()
    around = resolved in root.parents and root != resolved / ORIGINAL
    if resolved == root or root in resolved.parents or around:
        raise UserError(f"{out} and the originals in {root} lie in each other; prepare into a folder apart from them")
    for name in (STARTED, PREPARED):
        if (out / name).exists():
            before = json.loads((out / name).read_text())
            other = [key for key, value in made.items() if before.get(key) != value]
            if other:
                raise UserError(
                    f"{out} was prepared with another {', '.join(other)} ({before.get(other[0])!r}, not "
                    f"{made[other[0]]!r}); choose another folder"
                )
            break
    else:
        if out.is_dir() and {path.name for path in out.iterdir()} - {ORIGINAL}:
            raise UserError(f"{out} holds something else; choose a new or empty folder")
    require_writable(out)
    write_text(out / STARTED, json.dumps(made) + "\n")


def _names(source: Folder | NamedSet, split: str, paths: Names) -> Names:
    """The names of a split's pictures in OUT.

    Raises:
        UserError: if two have the same.
    """
    if isinstance(source, NamedSet):
        names = Names(map(source.name_of, paths))
    else:
        names = Names(path.removeprefix(f"{source.parts[split] or split}/") for path in paths)
    seen: set[str] = set()
    for name, path in zip(names, paths, strict=True):
        if name in seen:
            raise UserError(f"two pictures of {split} would be called {name}, one is {path}; remove one of them")
        seen.add(name)
    return names


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Write lines whose file names may hold any byte."""
    with replacing(path) as temporary:
        temporary.write_bytes(b"".join(os.fsencode(line) + b"\n" for line in lines))
