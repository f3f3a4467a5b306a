"""The interface of a source of holes, and several sources as one.

A hole is a uint8 array (H, W), 1 = missing. A source names the bins, that is hole sizes, for which it can draw a hole.
The same state of the random generator gives the same hole.
"""

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
    """A source of holes; `bins` names the hole sizes that it can draw."""

    bins: tuple[str, ...]

    @abstractmethod
    def draw(self, rng: np.random.Generator, bin: str, height: int, width: int) -> Hole:
        """Return a hole (height, width) of the bin."""

    def fixed(self, number: int, bin: str, height: int, width: int) -> Hole:
        """Return hole `number` of a fixed list for the bin, which does not depend on the picture."""
        return self.draw(seeds.generator("fixed hole", number, bin), bin, height, width)

    def named(self, stem: str) -> tuple[str, Hole]:
        """Return the mask file with this name (without suffix) and its hole at the size of the file.

        Raises:
            UserError: if there is no such file, or several.
        """
        raise UserError(
            f"{type(self).__name__} has no mask files that could have the name of a picture, such as {stem!r}; "
            "data.pairing=same_name needs masks=folder"
        )

    def file_of(self, rng: np.random.Generator | None, number: int, bin: str, height: int, width: int) -> str:
        """Return the mask file that `draw` takes with `rng`, or `fixed` with `number` if `rng` is None.

        The result is "" for a source that draws its holes.
        """
        return ""

    def mask_files(self) -> Iterable[Path]:
        """Return the files that holes come from; none for a source that draws its holes."""
        return ()

    def prepare(self, height: int, width: int) -> None:
        """Read and measure what later calls need, so that errors appear before training starts."""


class Several(HoleSource):
    """Several sources as one.

    Args:
        sources: in the order in which tables show their bins.

    Raises:
        ValueError: if two sources have a bin of the same name.
    """

    def __init__(self, sources: Sequence[HoleSource]) -> None:
        self._by_bin: dict[str, HoleSource] = {}
        for source in sources:
            for name in source.bins:
                if name in self._by_bin:
                    raise ValueError(f"two hole sources have a bin {name!r}; give one of them another name")
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
