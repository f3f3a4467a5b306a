"""Randomness as a pure function: the same draw for any number of workers or processes, resumed or not."""

from __future__ import annotations

import zlib

import numpy as np


def generator(*parts: int | str) -> np.random.Generator:
    """A random generator that depends on `parts` only, say ("hole", seed, epoch, index).

    Numbers must not be negative.
    """
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in parts]
    ready = np.array(words, np.uint32) if min(words) >= 0 and max(words) < 2**32 else words  # the same, faster
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(ready)))
