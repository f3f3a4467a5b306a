"""What is passed between data, networks and losses."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Batch:
    """Pictures and their holes. Not frozen, since Lightning moves batches to a device field by field.

    Args:
        image: (N, 3, H, W), float in [0, 1].
        hole: (N, 1, H, W), float, exactly 0 or 1; 1 = missing.
        name: N names of the pictures, for messages and result files.
    """

    image: Tensor
    hole: Tensor
    name: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.image.shape[0]


@dataclass(frozen=True)
class Output:
    """What a generator returns.

    Args:
        image: (N, 3, H, W), the prediction of the last stage in [0, 1] units, neither clamped nor composited.
        coarse: the prediction of the first stage of a two-stage generator, same shape and units.
        features: the intermediate features that the paper's own losses compare.
        attention: named attention maps, for those systems that can show them.
    """

    image: Tensor
    coarse: Tensor | None = None
    features: tuple[Tensor, ...] = ()
    attention: dict[str, Tensor] = field(default_factory=dict)
