"""Verify a set of pictures: counts, decoding, sizes, colour modes, duplicates, and lists against the disk."""

from __future__ import annotations

import csv
import hashlib
from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inpaintlab.data.datasets.folder import Folder
from inpaintlab.data.datasets.named import NamedSet
from inpaintlab.data.datasets.source import PREPARED, SPLITS
from inpaintlab.data.files.items import Files
from inpaintlab.data.files.lists import Names
from inpaintlab.data_preparation.examine import Facts, examine
from inpaintlab.data_preparation.parallel import spread
from inpaintlab.data_preparation.report import Findings, Report, table
from inpaintlab.errors import UserError
from inpaintlab.utils.atomic_write import replacing

MODES = {"L": "grey", "LA": "grey with alpha", "RGBA": "with alpha", "P": "with a palette", "1": "black and white"}


@dataclass
class Seen:
    """The pictures of one split, counted."""

    names: Names
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    links: int = 0
    turned: int = 0
    upper: int = 0
    wrong: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    digests: array[int] = field(default_factory=lambda: array("Q"))
    bytes: array[int] = field(default_factory=lambda: array("Q"))

    def add(self, name: str, facts: Facts) -> None:
        """Count one file."""
        self.digests.append(facts.digest)
        self.bytes.append(facts.bytes)
        self.links += facts.link
        self.turned += facts.turned
        self.upper += not name.endswith(Path(name).suffix.lower())
        if facts.size is not None:
            self.sizes[facts.size] += 1
            self.modes[facts.mode] += 1
        if facts.wrong:
            kind = facts.wrong.partition(" (")[0]
            kind = "broken links" if facts.link and kind.startswith("broken") else kind
            self.wrong[kind].append(f"{name}: {facts.wrong}")


def verify(
    source: Folder | NamedSet, *, size: int = 0, any_count: bool = False, processes: int | None = None,
    manifest: Path | None = None,
) -> Report:  # fmt: skip
    """Examine all splits of a set.

    Args:
        size: side of the crops in pixels; pictures with a shorter side below it are counted, since they get enlarged.
        any_count: accept numbers of pictures that differ from the published ones.
        processes: number of processes; None for all cores.
        manifest: CSV file to write, with split, picture, bytes and the first 64 bits of the SHA-256.
    """
    title = "Folder" if isinstance(source, Folder) else source.title
    prepared = (source.root / PREPARED).is_file()
    report = Report(title=f"{title} in {source.root.absolute()}" + (", prepared" if prepared else ""))
    seen: dict[str, Seen] = {}
    for split in source.splits if isinstance(source, NamedSet) else SPLITS:
        try:
            names = source.names(split)
        except (UserError, FileNotFoundError) as error:
            report.blame(f"no split {split!r}", str(error))
            continue
        if split == "val" and "train" in seen and _within(names, seen["train"].names, prepared):
            report.notes.append("no validation split: validation uses training pictures")
            continue
        seen[split] = Seen(names)
        files = Files(source.root, names)
        for name, facts in zip(names, spread(examine, files, len(files), f"{title} {split}", processes), strict=True):
            seen[split].add(name, facts)
    report.extend(_summary(source, seen, size, any_count))
    report.extend(_duplicates(seen))
    if isinstance(source, NamedSet):
        report.extend(_same_names(source, seen))
        report.extend(_unlisted(source, seen))
    if manifest is not None:
        _write_manifest(manifest, seen)
    digest = hashlib.sha256()
    for pictures in seen.values():
        digest.update(pictures.digests.tobytes())
    report.facts.append(f"content {digest.hexdigest()[:16]}")
    return report


def _within(few: Names, many: Names, prepared: bool) -> bool:
    """Whether `many` contains all of `few`. In a prepared set the same picture is below the folders of both splits."""
    if prepared:
        return {name.partition("/")[2] for name in few} <= {name.partition("/")[2] for name in many}
    return set(few) <= set(many)


def _summary(source: Folder | NamedSet, seen: dict[str, Seen], size: int, any_count: bool) -> Findings:
    """Compare the splits with the published numbers, and tabulate their sizes."""
    found = Findings()
    expected = source.expected() if isinstance(source, NamedSet) else {}
    rows = [("split", "pictures", "published", "smallest", "median", "largest", "megabytes")]
    for split, pictures in seen.items():
        count, published = len(pictures.names), str(expected.get(split, "-"))
        megabytes = f"{sum(pictures.bytes) / 1e6:.0f}"
        rows.append((split, str(count), published, *_range(pictures.sizes), megabytes))
        if split in expected and count != expected[split] and not any_count:
            found.blame(
                "another number of pictures than published",
                f"{split}: {count} and not {expected[split]} (--any-count accepts it)",
            )
        for kind, about in pictures.wrong.items():
            found.blame(kind, *(f"{split}: {line}" for line in about))
        found.notes += [f"{split}: {remark}" for remark in _remarks(pictures, size)]
    found.facts += table(rows)
    return found


def _remarks(pictures: Seen, size: int) -> list[str]:
    """Return what is worth knowing about the pictures of a split."""
    remarks = [
        f"{number} {MODES.get(mode, mode)}, converted to RGB when read"
        for mode, number in pictures.modes.items()
        if mode not in ("RGB", "16-bit")
    ]
    small = sum(number for sides, number in pictures.sizes.items() if min(sides) < size)
    for number, what in (
        (small, f"with a shorter side below {size}, enlarged for crops of that size"),
        (pictures.upper, "with an upper-case extension"),
        (pictures.links, "symbolic links"),
        (pictures.turned, "rotated by an EXIF tag, read upright"),
    ):
        if number:
            remarks.append(f"{number} {what}")
    return remarks


def _range(sizes: Counter[tuple[int, int]]) -> tuple[str, str, str]:
    """Return the smallest, the median and the largest size."""
    if not sizes:
        return "-", "-", "-"
    ordered = sorted(sizes.elements(), key=lambda size: size[0] * size[1])
    smallest, median, largest = ("x".join(map(str, ordered[i])) for i in (0, len(ordered) // 2, -1))
    return smallest, median, largest


def _duplicates(seen: dict[str, Seen]) -> Findings:
    """Find files of equal content: an error between two splits, a remark within one."""
    found = Findings()
    arrays = {split: np.asarray(pictures.digests, np.uint64) for split, pictures in seen.items()}
    for i, (split, own) in enumerate(arrays.items()):
        readable = own[own != 0]
        doubles = len(readable) - len(np.unique(readable))
        if doubles:
            found.notes.append(f"{split}: {doubles} pictures are duplicates under other names")
        for other in list(arrays)[i + 1 :]:
            shared = np.setdiff1d(np.intersect1d(own, arrays[other]), [0])
            lines = [
                f"{_named(seen[split], own, digest)} ({split}) = {_named(seen[other], arrays[other], digest)} ({other})"
                for digest in shared
            ]
            if lines:
                found.blame("the same picture in two splits", *sorted(lines))
    return found


def _named(pictures: Seen, digests: NDArray[np.uint64], digest: np.uint64) -> str:
    """Return the first picture with this digest."""
    return pictures.names[int(np.flatnonzero(digests == digest)[0])]


def _same_names(source: NamedSet, seen: dict[str, Seen]) -> Findings:
    """Find names that two pictures of a split share."""
    found = Findings()
    for split, pictures in seen.items():
        counts = Counter(map(source.name_of, pictures.names))
        twice = [name for name, number in counts.items() if number > 1]
        if twice:
            found.blame("two pictures of one name, or listed twice", *(f"{split}: {name}" for name in twice))
    return found


def _unlisted(source: NamedSet, seen: dict[str, Seen]) -> Findings:
    """Find pictures on disk that are in no split."""
    found = Findings()
    listed = {name for pictures in seen.values() for name in pictures.names}
    folders = list(seen) if source.is_prepared else source.folders()
    for folder in folders:
        try:
            extra = [name for name in source.scan(folder) if name.removeprefix("./") not in listed]
        except FileNotFoundError:
            continue
        if extra:
            found.notes.append(
                f"{folder}: {len(extra)} pictures that are in no split, {', '.join(extra[:3])}"
                + (", ..." if len(extra) > 3 else "")
            )
    return found


def _write_manifest(path: Path, seen: dict[str, Seen]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("split", "picture", "bytes", "sha256"))
        for split, pictures in seen.items():
            for name, length, digest in zip(pictures.names, pictures.bytes, pictures.digests, strict=True):
                writer.writerow((split, name, length, digest.to_bytes(8, "little").hex()))
