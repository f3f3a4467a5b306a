"""Find out whether test masks were also training masks, as they were for most published numbers."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from inpaintlab.data.holes.source import HoleSource


def masks_are_shared(train: HoleSource, test: HoleSource) -> bool:
    """Whether a file of the test masks is among the training masks, by its path or its content."""
    by_length = _by_length(train.mask_files())
    hashes: dict[int, set[bytes]] = {}
    for path in test.mask_files():
        length = _length(path)
        if length not in by_length:
            continue
        if path.resolve() in by_length[length]:
            return True
        if length not in hashes:
            hashes[length] = {_sha256(other) for other in by_length[length]}
        if _sha256(path) in hashes[length]:
            return True
    return False


def _by_length(paths: Iterable[Path]) -> dict[int, set[Path]]:
    """Return the resolved paths by the length of the files; missing files are left out."""
    found: dict[int, set[Path]] = defaultdict(set)
    for path in paths:
        length = _length(path)
        if length >= 0:
            found[length].add(path.resolve())
    return found


def _length(path: Path) -> int:
    """Return the length of a file in bytes; -1 if it is missing, which is reported when the mask is read."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _sha256(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()
