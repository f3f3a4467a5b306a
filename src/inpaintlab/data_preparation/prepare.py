"""Make of an original layout, or its archives, what a training reads: a folder and a list for every split.

OUT/train/, OUT/val/ and OUT/test/ hold links to the originals, or copies that were made smaller, under the names that
pictures have in every layout of their set; OUT/train.txt and so on list them; OUT/prepared.json says how it was made
and is written last. The originals are only read. Started again, what is there already stays.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from inpaintlab.data.datasets.folder import Folder
from inpaintlab.data.datasets.named import PREPARED, SPLITS, STARTED, NamedSet
from inpaintlab.data.files.images import BadPicture, read_picture
from inpaintlab.data.files.lists import Names
from inpaintlab.data_preparation import archives
from inpaintlab.data_preparation.parallel import spread
from inpaintlab.errors import UserError
from inpaintlab.utils.atomic_write import replacing, require_writable, write_text

ORIGINAL = "original"  # below OUT, what came out of archives
QUALITY = 95  # of smaller copies, as JPEG
MISSING = "missing: "
REMEDY = "choose another or make it writable"


class Task(NamedTuple):
    """One picture: from where to where."""

    source: Path
    target: Path


def unpacked(source: NamedSet, out: Path, again: Callable[[Path], NamedSet]) -> NamedSet:
    """The set itself, or that in OUT/original if its root holds the archives; what lies beside them is linked there.

    Raises:
        UserError: if an archive is torn, or OUT holds something else.
    """
    found = archives.find(source.root, source.archives())
    if not found:
        return source
    _refuse(source.root, out, {"set": type(source).__name__, "options": source.options})
    into = require_writable(out / ORIGINAL, REMEDY)
    for path in into.iterdir():  # archives must not be unpacked through a link, into the folders of others
        if path.is_symlink():
            path.unlink()
    for archive, renamed in found.items():
        archives.unpack(archive, into, renamed)
    for path in source.root.iterdir():
        beside = path.suffix in archives.LISTS or (path.is_dir() and not path.name.startswith("."))
        if beside and not (into / path.name).exists():
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
        UserError: if OUT holds something else, two pictures have the same name, a picture is missing, or the disk is
            full; started again, it goes on.
    """
    paths = {split: source.names(split) for split in SPLITS}
    names = {split: _names(source, split, paths[split]) for split in SPLITS}
    plan = hashlib.sha256()
    for split in SPLITS:
        for path, name in zip(paths[split], names[split], strict=True):
            plan.update(os.fsencode(f"{split}\0{path}\0{name}\n"))
    made: dict[str, Any] = {
        "set": type(source).__name__,
        "options": source.options if isinstance(source, NamedSet) else {},
        "from": str(source.root.resolve()),
        "short_side": short_side,
        "choice of pictures": plan.hexdigest()[:16],
    }
    _refuse(source.root, out, made)
    require_writable(out, REMEDY)
    write_text(out / STARTED, json.dumps(made) + "\n")
    root = source.root.resolve()
    counts: dict[str, int] = {}
    left_out: list[str] = []
    for split in SPLITS:
        tasks = (Task(root / p, out / split / name) for p, name in zip(paths[split], names[split], strict=True))
        work, total = partial(place, short_side=short_side), len(paths[split])
        try:
            results = list(spread(work, tasks, total, f"preparing {split}", processes))
        except OSError as error:
            raise UserError(f"{error.filename or out}: {error.strerror}; started again, `prepare` goes on") from None
        kept = [name for name, reason in zip(names[split], results, strict=True) if not reason]
        left_out += filter(None, results)
        head = f"# {made['set']}, {split}, {json.dumps(made['options'])}, from {total} pictures"
        write_lines(out / f"{split}.txt", [head, *kept])
        counts[split] = len(kept)
    missing = sorted({reason.removeprefix(MISSING) for reason in left_out if reason.startswith(MISSING)})
    if missing:
        raise UserError(
            f"{len(missing)} pictures are listed but not there, {', '.join(missing[:3])}"
            f"{', ...' if len(missing) > 3 else ''}; complete {source.root} and start again, `prepare` goes on"
        )
    write_text(out / PREPARED, json.dumps(made | {"pictures": counts}, indent=1) + "\n")
    (out / STARTED).unlink(missing_ok=True)
    return counts, left_out


def place(task: Task, short_side: int | None) -> str:
    """Link a picture, or write a smaller copy; returns why it is left out, or "".

    Raises:
        OSError: if the target cannot be written.
    """
    source, target = task
    if not source.exists():
        return f"{MISSING}{source}"
    if target.is_symlink() and os.readlink(target) == str(source):
        return ""
    if target.exists() and not target.is_symlink():
        if short_side is not None:
            return ""
        raise FileExistsError(errno.EEXIST, "a file that `prepare` has not made is there", str(target))
    if short_side is not None:
        try:
            if min(_size(source)) > short_side:
                _shrink(source, target, short_side)
                return ""
        except BadPicture as error:
            return str(error)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # a link, see above
    target.symlink_to(source)
    return ""


def _size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadPicture(f"{path}: does not decode ({error})") from None


def _shrink(source: Path, target: Path, short_side: int) -> None:
    picture = read_picture(source)
    scale = short_side / min(picture.shape[:2])
    width, height = (max(short_side, round(side * scale)) for side in (picture.shape[1], picture.shape[0]))
    smaller = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
    with replacing(target) as temporary:
        Image.fromarray(smaller).save(temporary, quality=QUALITY)  # PNG takes no notice of it


def _refuse(root: Path, out: Path, made: dict[str, Any]) -> None:
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
            return
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; choose a new or empty folder")
    if out.is_dir() and {path.name for path in out.iterdir()} - {ORIGINAL}:
        raise UserError(f"{out} holds something else; choose a new or empty folder")


def _names(source: Folder | NamedSet, split: str, paths: Names) -> Names:
    """The names of a split's pictures in OUT.

    Raises:
        UserError: if two have the same, or a picture lies outside of the set's folder.
    """
    if isinstance(source, NamedSet):
        names = Names(map(source.name_of, paths))
    else:
        folders = [f"{source.parts[part] or part}/" for part in (split, "train")]  # "val" may look at training pictures
        names = Names(path.removeprefix(next(filter(path.startswith, folders), "")) for path in paths)
    seen: set[str] = set()
    for name, path in zip(names, paths, strict=True):
        if os.path.isabs(path) or ".." in Path(path).parts:
            raise UserError(f"{path} is listed for {split}; only pictures below {source.root} can be prepared")
        if name in seen:
            raise UserError(f"two pictures of {split} would be called {name}, one is {path}; remove one of them")
        seen.add(name)
    return names


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Write lines whose file names may hold any byte."""
    with replacing(path) as temporary:
        temporary.write_bytes(b"".join(os.fsencode(line) + b"\n" for line in lines))
