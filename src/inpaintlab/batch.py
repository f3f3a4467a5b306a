"""The data types that data loading, networks and losses exchange."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Batch:
    """Pictures and their holes. Not frozen, because Lightning moves batches to a device field by field.

    Args:
        image: (N, 3, H, W), float in [0, 1].
        hole: (N, 1, H, W), float, exactly 0 or 1; 1 = missing.
        name: names of the N pictures, for messages and result files.
    """

    image: Tensor
    hole: Tensor
    name: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.image.shape[0]


@dataclass(frozen=True)
class Output:
    """The result of a generator.

    Args:
        image: (N, 3, H, W), the prediction of the last stage. Scaled for [0, 1], but neither clamped nor composited.
        coarse: the prediction of the first stage of a two-stage generator, same shape and scale.
        features: intermediate features for the losses of the paper.
        attention: attention maps (N, C, h, w) by name; empty unless the generator's `keep_attention` is True.
    """

    image: Tensor
    coarse: Tensor | None = None
    features: tuple[Tensor, ...] = ()
    attention: dict[str, Tensor] = field(default_factory=dict)
