"""How weights that the authors of a paper published map onto our networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor


@dataclass(frozen=True)
class Released:
    """Published weights, ready to be loaded into a network of ours.

    Args:
        weights: tensors by the names of whoever published them.
        options: constructor options of the network that the weights fit.
        called: maps the name of an entry of our network to its name in `weights`.
        ignored: names of entries of the file that belong to something else, for example optimisers.
        source: origin of the weights, for messages.
    """

    weights: Mapping[str, Tensor]
    options: dict[str, Any]
    called: Callable[[str], str]
    ignored: Sequence[str] = ()
    source: str = "the given state dict"


class AuthorsWeights(ABC):
    """Mixin for a generator or discriminator whose authors, or other codes, published weights.

    Attributes:
        swaps_colours: whether published weights may expect BGR pictures, so that `swap_colours` has an effect.
    """

    swaps_colours: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def map_authors_weights(cls, weights: Mapping[str, Tensor], swap_colours: bool | None = None) -> Released:
        """Describe how published weights map onto this network; nothing is checked or loaded here.

        Args:
            weights: a state dict under the names of whoever published it.
            swap_colours: whether to reverse the channels of inputs and outputs; None decides by the layout of the
                filters. Used only if `swaps_colours` is True.
        """


def width_of(weights: Mapping[str, Tensor], first: str, full: int) -> float:
    """Return the `width` factor of a network whose first layer, `first`, has `full` filters by default."""
    return len(weights[first]) / full if first in weights else 1.0
