"""Operations on pictures and holes that every system shares.

Pictures are float (N, 3, H, W) in [0, 1]; holes are float (N, 1, H, W), 1 = missing.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaintlab.batch import Output
from inpaintlab.errors import UserError


class NotFinite(UserError):
    """A generator predicted NaN or infinity."""


class Predictor(Protocol):
    """The part of `networks.generator.InpaintingGenerator` that this module needs."""

    @property
    def multiple(self) -> int: ...

    def __call__(self, image: Tensor, hole: Tensor) -> Output: ...


def empty_hole(image: Tensor, hole: Tensor, value: float = 0.0) -> Tensor:
    """Return `image` with the hole replaced by `value`; the previous content, even NaN, has no effect."""
    return torch.where(hole > 0.5, value, image)


def composite(image: Tensor, prediction: Tensor, hole: Tensor) -> Tensor:
    """Return `prediction` inside the hole and `image`, unchanged, outside."""
    return torch.where(hole > 0.5, prediction.to(image.dtype), image)


def to_uint8(image: Tensor) -> Tensor:
    """Convert pictures in [0, 1] to 8 bit; values are clamped and rounded, not truncated."""
    return image.detach().float().clamp(0, 1).mul_(255).round_().to(torch.uint8)


def from_uint8(image: Tensor) -> Tensor:
    """Convert 8-bit pictures to float32 in [0, 1]; `to_uint8` restores the same levels."""
    return image.to(torch.float32, copy=True).div_(255)  # in place: fresh memory costs more than the division


def padded_size(height: int, width: int, multiple: int) -> tuple[int, int]:
    """Return the smallest height and width that are multiples of `multiple` and at least those given."""
    return height + -height % multiple, width + -width % multiple


@torch.no_grad()
def predict(generator: Predictor, image: Tensor, hole: Tensor) -> Output:
    """Run a generator on pictures of any size: pad by repeating the border pixels, predict, crop.

    Args:
        image: (N, 3, H, W) in [0, 1].
        hole: (N, 1, H, W), 1 = missing.

    Returns:
        The predictions, (N, 3, H, W), and the attention maps without the rows and columns that lie entirely in the
        padding. `features` is left out.
    """
    height, width = image.shape[-2:]
    padded = padded_size(height, width, generator.multiple)
    if padded == (height, width):
        output = generator(image, hole)
    else:
        pad = (0, padded[1] - width, 0, padded[0] - height)
        output = generator(F.pad(image, pad, mode="replicate"), F.pad(hole, pad, mode="replicate"))

    def cropped(x: Tensor) -> Tensor:
        """The rows and columns that lie, at least in part, in the unpadded picture; for a map of any resolution."""
        rows, columns = x.shape[-2:]
        return x[..., : -(-height * rows // padded[0]), : -(-width * columns // padded[1])]

    coarse = cropped(output.coarse) if output.coarse is not None else None
    maps = {name: cropped(value) for name, value in output.attention.items()}
    return Output(cropped(output.image), coarse, attention=maps)


def fill(image: Tensor, prediction: Tensor, hole: Tensor) -> Tensor:
    """Fill the holes of pictures with the clamped prediction.

    Args:
        image: (N, 3, H, W) in [0, 1].
        prediction: same shape.
        hole: (N, 1, H, W), 1 = missing.

    Returns:
        (N, 3, H, W) in [0, 1]; pixels outside the hole are those of `image`, unchanged.

    Raises:
        NotFinite: if a predicted pixel inside a hole is NaN or infinite, which as 8 bit would look like black or white.
    """
    if not bool(empty_hole(prediction, 1 - hole).isfinite().all()):
        raise NotFinite(
            "the generator's prediction inside the hole is NaN or infinite; check the weights in its checkpoint, or "
            "use a higher precision"
        )
    return composite(image, prediction.clamp(0, 1), hole)


def inpaint(generator: Predictor, image: Tensor, hole: Tensor) -> Tensor:
    """Fill the holes of pictures of any size; see `predict` and `fill` for shapes and errors."""
    return fill(image, predict(generator, image, hole).image, hole)
