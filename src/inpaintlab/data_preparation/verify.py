"""Look at every picture of a set: counts, decoding, sizes, modes, duplicates, lists against the disk."""

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
from inpaintlab.data.datasets.named import PREPARED, SPLITS, NamedSet
from inpaintlab.data.files.items import Files
from inpaintlab.data.files.lists import Names
from inpaintlab.data_preparation.examine import Facts, examine
from inpaintlab.data_preparation.parallel import spread
from inpaintlab.data_preparation.report import Report, table
from inpaintlab.errors import UserError
from inpaintlab.utils.atomic_write import replacing

MODES = {"L": "grey", "LA": "grey with alpha", "RGBA": "with alpha", "P": "with a palette", "1": "black and white"}


@dataclass
class Seen:
    """What was found in one split."""

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
    """Examine all splits of a source.

    Args:
        size: pictures whose shorter side is smaller are counted: they are enlarged for crops of that size.
        any_count: do not complain that there are more or fewer pictures than were published.
        manifest: CSV file to write: split, picture, bytes, SHA-256 (first 64 bits).
    """
    title = "Folder" if isinstance(source, Folder) else source.title
    prepared = (source.root / PREPARED).is_file()
    report = Report(f"{title} in {source.root.absolute()}" + (", prepared" if prepared else ""))
    seen: dict[str, Seen] = {}
    for split in SPLITS:
        try:
            names = source.names(split)
        except (UserError, FileNotFoundError) as error:
            report.blame(f"no split {split!r}", str(error))
            continue
        if split == "val" and "train" in seen and _within(names, seen["train"].names, prepared):
            report.notes.append("no validation split: validation looks at training pictures")
            continue
        seen[split] = Seen(names)
        files = Files(source.root, names)
        for name, facts in zip(names, spread(examine, files, len(files), f"{title} {split}", processes), strict=True):
            seen[split].add(name, facts)
    _summary(report, source, seen, size, any_count)
    _duplicates(report, seen)
    if isinstance(source, NamedSet):
        _same_names(report, source, seen)
        _unlisted(report, source, seen)
    if manifest is not None:
        _write_manifest(manifest, seen)
    digest = hashlib.sha256()
    for found in seen.values():
        digest.update(found.digests.tobytes())
    report.facts.append(f"content {digest.hexdigest()[:16]}")
    return report


def _within(few: Names, many: Names, prepared: bool) -> bool:
    """Whether all are the same pictures; a prepared set has them under one name below the folders of both splits."""
    if prepared:
        return {name.partition("/")[2] for name in few} <= {name.partition("/")[2] for name in many}
    return set(few) <= set(many)


def _summary(report: Report, source: Folder | NamedSet, seen: dict[str, Seen], size: int, any_count: bool) -> None:
    expected = source.expected() if isinstance(source, NamedSet) else {}
    rows = [("split", "pictures", "published", "smallest", "median", "largest", "megabytes")]
    for split, found in seen.items():
        count = len(found.names)
        rows.append(
            (
                split,
                str(count),
                str(expected.get(split, "-")),
                *_range(found.sizes),
                f"{sum(found.bytes) / 1e6:.0f}",
            )
        )
        if split in expected and count != expected[split] and not any_count:
            report.blame(
                "another number of pictures than published",
                f"{split}: {count} and not {expected[split]} (--any-count accepts that)",
            )
        for kind, about in found.wrong.items():
            report.blame(kind, *(f"{split}: {line}" for line in about))
        for mode, number in found.modes.items():
            if mode not in ("RGB", "16-bit"):
                report.notes.append(f"{split}: {number} {MODES.get(mode, mode)}, converted to RGB when read")
        small = sum(number for sides, number in found.sizes.items() if min(sides) < size)
        for number, what in (
            (small, f"with a shorter side below {size}, enlarged for crops of that size"),
            (found.upper, "with an upper-case extension"),
            (found.links, "symbolic links"),
            (found.turned, "turned by an EXIF tag, read upright"),
        ):
            if number:
                report.notes.append(f"{split}: {number} {what}")
    report.facts += table(rows)


def _range(sizes: Counter[tuple[int, int]]) -> tuple[str, str, str]:
    if not sizes:
        return "-", "-", "-"
    ordered = sorted(sizes.elements(), key=lambda size: size[0] * size[1])
    return tuple("x".join(map(str, ordered[i])) for i in (0, len(ordered) // 2, -1))  # type: ignore[return-value]


def _duplicates(report: Report, seen: dict[str, Seen]) -> None:
    """Files of equal content: between splits a fault, within one worth knowing."""
    arrays = {split: np.asarray(found.digests, np.uint64) for split, found in seen.items()}
    for i, (split, own) in enumerate(arrays.items()):
        readable = own[own != 0]
        doubles = len(readable) - len(np.unique(readable))
        if doubles:
            report.notes.append(f"{split}: {doubles} pictures are there twice, under other names")
        for other in list(arrays)[i + 1 :]:
            shared = np.setdiff1d(np.intersect1d(own, arrays[other]), [0])
            report_pairs = [
                f"{_named(seen[split], own, digest)} ({split}) = {_named(seen[other], arrays[other], digest)} ({other})"
                for digest in shared
            ]
            if report_pairs:
                report.blame("the same picture in two splits", *sorted(report_pairs))


def _named(found: Seen, digests: NDArray[np.uint64], digest: np.uint64) -> str:
    return found.names[int(np.flatnonzero(digests == digest)[0])]


def _same_names(report: Report, source: NamedSet, seen: dict[str, Seen]) -> None:
    for split, found in seen.items():
        counts = Counter(map(source.name_of, found.names))
        twice = [name for name, number in counts.items() if number > 1]
        if twice:
            report.blame("two pictures of one name, or listed twice", *(f"{split}: {name}" for name in twice))


def _unlisted(report: Report, source: NamedSet, seen: dict[str, Seen]) -> None:
    """Pictures on disk that no split has."""
    listed = {name for found in seen.values() for name in found.names}
    folders = list(seen) if source.is_prepared else source.folders()
    for folder in folders:
        try:
            extra = [name for name in source.scan(folder) if name.removeprefix("./") not in listed]
        except FileNotFoundError:
            continue
        if extra:
            report.notes.append(
                f"{folder}: {len(extra)} pictures that are in no split, {', '.join(extra[:3])}"
                + (", ..." if len(extra) > 3 else "")
            )


def _write_manifest(path: Path, seen: dict[str, Seen]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("split", "picture", "bytes", "sha256"))
        for split, found in seen.items():
            for name, length, digest in zip(found.names, found.bytes, found.digests, strict=True):
                writer.writerow((split, name, length, digest.to_bytes(8, "little").hex()))
