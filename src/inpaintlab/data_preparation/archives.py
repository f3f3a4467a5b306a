"""Unpack the archives of a data set; a stopped run continues where it was."""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from inpaintlab.data.files.lists import is_picture
from inpaintlab.errors import UserError
from inpaintlab.utils.atomic_write import replacing, write_text
from inpaintlab.utils.progress import Bar

LISTS = (".txt", ".csv", ".flist")
SLACK, LARGEST_RATIO = 2**30, 20  # an archive may unpack to 1 GiB, or more if that is at most 20 times its size
Entry = tuple[str, int, IO[bytes], int]  # name, length, content, position in the archive


def find(folder: Path, patterns: Mapping[str, Mapping[str, str]]) -> dict[Path, Mapping[str, str]]:
    """Return the archives in `folder` that match the patterns, each with the top folders to rename."""
    return {path: renamed for pattern, renamed in patterns.items() for path in sorted(folder.glob(pattern))}


def unpack(archive: Path, into: Path, renamed: Mapping[str, str]) -> None:
    """Write the pictures and lists of an archive below `into`; files that exist at their full length are kept.

    Args:
        renamed: new names for top folders of the archive.

    Raises:
        UserError: if the archive is truncated, damaged or encrypted, has a member whose path leads out of `into`, or
            unpacks to more than its size suggests or the disk holds.
    """
    stat = archive.stat()
    state = {"bytes": stat.st_size, "changed": stat.st_mtime_ns}
    done = into / f".unpacked-{archive.name}.json"
    if done.exists() and json.loads(done.read_text()) == state:
        return
    into.mkdir(parents=True, exist_ok=True)
    most = max(SLACK, LARGEST_RATIO * stat.st_size)
    unpacked = 0
    try:
        with Bar(f"unpacking {archive.name} [MB]", stat.st_size // 2**20) as bar:
            for name, length, content, place in _entries(archive):
                target = into / _safe(name, archive, renamed)
                wanted = is_picture(target.name) or target.suffix in LISTS
                unpacked += length if wanted else 0
                if unpacked > most:
                    raise UserError(
                        f"{archive}: would unpack to more than {most / 1e9:.1f} GB, which pictures do not; this is not "
                        "the published archive"
                    )
                if wanted and not (target.exists() and target.stat().st_size == length):
                    _require_space(archive, into, length)
                    with replacing(target) as temporary, temporary.open("wb") as file:
                        shutil.copyfileobj(content, file)
                bar.update(place // 2**20)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # from the disk, not from the archive
            raise UserError(
                f"{archive}: unpacking into {into} failed ({error.strerror}); start it again to continue"
            ) from None
        raise UserError(f"{archive}: does not unpack ({error}); check that the download is complete") from None
    write_text(done, json.dumps(state))


def _require_space(archive: Path, into: Path, length: int) -> None:
    """Raise UserError if a member of an archive does not fit on the disk."""
    if length > shutil.disk_usage(into).free:
        raise UserError(f"{archive}: unpacking into {into} needs more space than the disk has left; free some")


def _entries(archive: Path) -> Iterator[Entry]:
    """Yield the files in an archive, in order."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as pack:
            for entry in pack.infolist():
                if entry.flag_bits & 1:
                    raise UserError(f"{archive} is encrypted; unpack it with its password, and give the folder instead")
                if not entry.is_dir():
                    with pack.open(entry) as content:
                        yield entry.filename, entry.file_size, content, entry.header_offset
        return
    with tarfile.open(archive) as tape:
        for member in tape:
            inside = tape.extractfile(member) if member.isfile() else None
            if inside is not None:
                yield member.name, member.size, inside, member.offset
        assert tape.fileobj is not None
        tape.fileobj.seek(tape.offset)  # an archive cut between two members differs only in its missing end mark
        if tape.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise EOFError("it has no end mark")


def _safe(name: str, archive: Path, renamed: Mapping[str, str]) -> Path:
    """Return the relative path to write a member to; refuse one that leads elsewhere."""
    parts = [part for part in PurePosixPath(name).parts if part != "."]
    if not parts or ".." in parts or parts[0] == "/":
        raise UserError(f"{archive}: its member {name!r} would be written elsewhere; this is not the published archive")
    return Path(renamed.get(parts[0], parts[0]), *parts[1:])
