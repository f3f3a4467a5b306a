"""What every source of holes provides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inpaintlab.data import seeds
from inpaintlab.errors import UserError

Hole = NDArray[np.uint8]


class HoleSource(ABC):
    """What the data module asks of a source of holes; `bins` names the hole sizes that it can draw."""

    bins: tuple[str, ...]

    @abstractmethod
    def draw(self, rng: np.random.Generator, bin: str, height: int, width: int) -> Hole:
        """One hole (H, W) of that size, uint8, 1 = missing."""

    def fixed(self, number: int, bin: str, height: int, width: int) -> Hole:
        """The hole of that number in a fixed list for the bin, the same whatever the picture."""
        return self.draw(seeds.generator("fixed hole", number, bin), bin, height, width)

    def named(self, stem: str) -> tuple[str, Hole]:
        """The mask file of that name, without its suffix, and its hole at its own size."""
        raise UserError(f"{type(self).__name__} has no mask files that could be called {stem!r} like the picture")

    def file_of(self, rng: np.random.Generator | None, number: int, bin: str, height: int, width: int) -> str:
        """The mask file that `draw` would take with this generator, or `fixed` without one; "" if holes are drawn."""
        return ""

    def mask_files(self) -> Iterable[Path]:
        """The files that holes come from; none if they are drawn."""
        return ()

    def prepare(self, height: int, width: int) -> None:
        """Do, before any training, whatever must be read or measured first; raises what is wrong with it."""


class Several(HoleSource):
    """Several sources as one; their bins must have different names.

    Args:
        sources: in the order in which tables show their bins.
    """

    def __init__(self, sources: Sequence[HoleSource]) -> None:
        self._by_bin: dict[str, HoleSource] = {}
        for source in sources:
            for name in source.bins:
                if name in self._by_bin:
                    raise ValueError(f"two hole sources call a bin {name!r}")
                self._by_bin[name] = source
        self.bins = tuple(self._by_bin)

    def draw(self, rng: np.random.Generator, bin: str, height: int, width: int) -> Hole:
        return self._by_bin[bin].draw(rng, bin, height, width)

    def fixed(self, number: int, bin: str, height: int, width: int) -> Hole:
        return self._by_bin[bin].fixed(number, bin, height, width)

    def file_of(self, rng: np.random.Generator | None, number: int, bin: str, height: int, width: int) -> str:
        return self._by_bin[bin].file_of(rng, number, bin, height, width)

    def mask_files(self) -> Iterable[Path]:
        return (path for source in set(self._by_bin.values()) for path in source.mask_files())

    def prepare(self, height: int, width: int) -> None:
        for source in set(self._by_bin.values()):
            source.prepare(height, width)
