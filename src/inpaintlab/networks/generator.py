"""The contract of a generator: what training, evaluation and visualization may ask of every system's network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from inpaintlab.batch import Output


class InpaintingGenerator(nn.Module):
    """Base class of the generators of all systems.

    A system defines one subclass, named `Generator`, in its own file and implements `forward`. It overrides the
    attributes and methods below where its network differs from the defaults. If its authors published weights, it
    also derives from `authors_weights.AuthorsWeights`.

    Attributes:
        multiple: height and width of the inputs must be multiples of this number. `image.inpaint` pads pictures of
            other sizes.
        shows_attention: whether the generator has attention maps to return. If it has, it fills `Output.attention`
            while `keep_attention` is True.
        shows_points: whether it can also return what chosen pixels attend to, the map "heat" (N, K, h, w) for the K
            entries of `points`.
        keep_attention: set to True to receive attention maps; they cost time and memory.
        points: positions whose attention is wanted, (y, x) in [0, 1] relative to the height and width of the input.
    """

    multiple: int = 1
    shows_attention: bool = False
    shows_points: bool = False
    keep_attention: bool = False
    points: Sequence[tuple[float, float]] | None = None

    if TYPE_CHECKING:  # typed, unlike nn.Module's

        def __call__(self, image: Tensor, hole: Tensor) -> Output: ...

    def forward(self, image: Tensor, hole: Tensor) -> Output:
        """Predict whole pictures.

        Args:
            image: (N, 3, H, W) in [0, 1]; H and W are multiples of `multiple`. The content of the hole has no effect.
            hole: (N, 1, H, W), exactly 0 or 1; 1 = missing. Every picture may have its own hole.

        Returns:
            The prediction for all pixels, neither clamped nor composited; see `Output`.

        Raises:
            ValueError: if H or W is not a multiple of `multiple`.
        """
        raise NotImplementedError

    def constrain(self) -> None:
        """Move weights back into their allowed range; called after every optimiser step. Does nothing by default."""

    def require_size(self, hole: Tensor) -> None:
        """Raise ValueError unless the last two dimensions of `hole` are multiples of `multiple`."""
        height, width = hole.shape[-2:]
        if height % self.multiple or width % self.multiple:
            system = type(self).__module__.rpartition(".")[2]
            raise ValueError(f"{system}: height and width must be multiples of {self.multiple}, got {height} x {width}")
