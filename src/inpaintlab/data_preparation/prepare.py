"""Turn an original layout, or its archives, into what a training reads: a folder and a list file for each split.

OUT/train/, OUT/val/ and OUT/test/ hold links to the originals, or reduced copies, under the names that pictures have in
every layout of their set. OUT/train.txt and so on list them. OUT/prepared.json, written last, records how OUT was made.
The originals are only read. A stopped run continues when it is started again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from inpaintlab.data.datasets.folder import Folder
from inpaintlab.data.datasets.named import NamedSet
from inpaintlab.data.datasets.source import PREPARED, SPLITS, STARTED
from inpaintlab.data.files.images import BadPicture, read_picture
from inpaintlab.data.files.lists import Names
from inpaintlab.data_preparation import archives
from inpaintlab.data_preparation.parallel import spread
from inpaintlab.errors import UserError
from inpaintlab.utils.atomic_write import replacing, require_writable, write_text

ORIGINAL = "original"  # folder in OUT for the content of archives
QUALITY = 95  # of reduced copies, as JPEG
MISSING = "missing: "
REMEDY = "choose another or make it writable"
Record = Mapping[str, object]  # how OUT is made, as prepared.json has it


class Task(NamedTuple):
    """One picture to link or to copy."""

    source: Path
    target: Path


def unpacked(source: NamedSet, out: Path, again: Callable[[Path], NamedSet]) -> NamedSet:
    """Return `source`, or the set in OUT/original if the root of `source` holds archives.

    Files and folders beside the archives are linked into OUT/original.

    Args:
        again: returns the same set with another root.

    Raises:
        UserError: if an archive is damaged, or OUT holds something else.
    """
    found = archives.find(source.root, source.archives())
    if not found:
        return source
    _refuse(source.root, out, {"set": type(source).__name__, "options": source.options})
    into = require_writable(out / ORIGINAL, REMEDY, below=out)
    for path in into.iterdir():  # a link would lead the unpacked files into the folder of the originals
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
        short_side: pictures with a longer shorter side become copies reduced to it, in pixels; None links all pictures.
        processes: number of processes; None for all cores.

    Returns:
        The number of pictures by split, and the reasons for pictures that were left out because they do not decode,
        which is only noticed when pictures are reduced.

    Raises:
        UserError: if OUT holds something else, two pictures have the same name, a picture is missing, or a file cannot
            be written. After the last two, start it again to continue.
    """
    paths = {split: source.names(split) for split in SPLITS}
    names = {split: _names(source, split, paths[split]) for split in SPLITS}
    options = source.options if isinstance(source, NamedSet) else {}
    made: Record = {
        "set": type(source).__name__,
        "options": options,
        "from": str(source.root.resolve()),
        "short_side": short_side,
        "choice of pictures": _digest(paths, names),
    }
    _refuse(source.root, out, made)
    require_writable(out, REMEDY)
    write_text(out / STARTED, json.dumps(made) + "\n")
    counts: dict[str, int] = {}
    left_out: list[str] = []
    for split in SPLITS:
        reasons = _write_split(source.root.resolve(), out, split, paths[split], names[split], short_side, processes)
        kept = [name for name, reason in zip(names[split], reasons, strict=True) if not reason]
        left_out += filter(None, reasons)
        head = f"# {made['set']}, {split}, {json.dumps(options)}, from {len(reasons)} pictures"
        write_lines(out / f"{split}.txt", [head, *kept])
        counts[split] = len(kept)
    missing = sorted({reason.removeprefix(MISSING) for reason in left_out if reason.startswith(MISSING)})
    if missing:
        raise UserError(
            f"{len(missing)} pictures are listed but not there, {', '.join(missing[:3])}"
            f"{', ...' if len(missing) > 3 else ''}; complete {source.root} and start `prepare` again to continue"
        )
    write_text(out / PREPARED, json.dumps({**made, "pictures": counts}, indent=1) + "\n")
    (out / STARTED).unlink(missing_ok=True)
    return counts, left_out


def place(task: Task, short_side: int | None) -> str:
    """Link a picture or write a reduced copy. Returns why the picture is left out, or "".

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
        raise FileExistsError(errno.EEXIST, "exists and was not made by `prepare`", str(target))
    if short_side is not None:
        try:
            if min(_size(source)) > short_side:
                _shrink(source, target, short_side)
                return ""
        except BadPicture as error:
            return str(error)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # a link to another picture
    target.symlink_to(source)
    return ""


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Write lines that contain file names of any bytes."""
    with replacing(path) as temporary:
        temporary.write_bytes(b"".join(os.fsencode(line) + b"\n" for line in lines))


# ---------------------------------------------------------------------- pictures
def _write_split(
    root: Path, out: Path, split: str, paths: Names, names: Names, short_side: int | None, processes: int | None
) -> list[str]:
    """Place the pictures of a split. Returns for each one why it is left out, or ""."""
    tasks = (Task(root / path, out / split / name) for path, name in zip(paths, names, strict=True))
    try:
        return list(spread(partial(place, short_side=short_side), tasks, len(paths), f"preparing {split}", processes))
    except OSError as error:
        raise UserError(
            f"{error.filename or out}: {error.strerror}; start `prepare` again to continue, once this is solved"
        ) from None


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
        Image.fromarray(smaller).save(temporary, quality=QUALITY)  # PNG ignores the quality


# ---------------------------------------------------------------------- names and checks
def _names(source: Folder | NamedSet, split: str, paths: Names) -> Names:
    """Return the names of a split's pictures in OUT.

    Raises:
        UserError: if two pictures have the same name, or a picture is outside the folder of the set.
    """
    if isinstance(source, NamedSet):
        names = Names(map(source.name_of, paths))
    else:
        folders = [f"{source.parts[part] or part}/" for part in (split, "train")]  # "val" may use training pictures
        names = Names(path.removeprefix(next(filter(path.startswith, folders), "")) for path in paths)
    seen: set[str] = set()
    for name, path in zip(names, paths, strict=True):
        if os.path.isabs(path) or ".." in Path(path).parts:
            raise UserError(f"{path} is listed for {split}; only pictures below {source.root} can be prepared")
        if name in seen:
            raise UserError(f"two pictures of {split} would be called {name}, one is {path}; remove one of them")
        seen.add(name)
    return names


def _digest(paths: Mapping[str, Names], names: Mapping[str, Names]) -> str:
    """Return sixteen characters that depend on all pictures, their names and their splits."""
    plan = hashlib.sha256()
    for split in SPLITS:
        for path, name in zip(paths[split], names[split], strict=True):
            plan.update(os.fsencode(f"{split}\0{path}\0{name}\n"))
    return plan.hexdigest()[:16]


def _refuse(root: Path, out: Path, made: Record) -> None:
    """Raise UserError unless OUT is new, or holds a stopped or finished run that was made in the same way."""
    root, resolved = root.resolve(), out.resolve()
    around = resolved in root.parents and root != resolved / ORIGINAL
    if resolved == root or root in resolved.parents or around:
        raise UserError(f"{out} and the originals in {root} contain each other; prepare into a separate folder")
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
