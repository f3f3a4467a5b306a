"""Random generators that depend on their seed parts alone, not on workers, processes or interruptions."""

from __future__ import annotations

import zlib

import numpy as np


def generator(*parts: int | str) -> np.random.Generator:
    """Return a random generator that depends on `parts` only, for example ("hole", seed, epoch, index).

    Args:
        parts: strings and non-negative integers.
    """
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in parts]
    ready = np.array(words, np.uint32) if min(words) >= 0 and max(words) < 2**32 else words  # same result, faster
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(ready)))
