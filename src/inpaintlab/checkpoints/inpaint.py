"""Fill the holes of pictures in memory with a loaded checkpoint."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from inpaintlab.checkpoints.checkpoint import Restored
from inpaintlab.errors import UserError
from inpaintlab.image import composite, from_uint8, to_uint8
from inpaintlab.image import inpaint as fill

Picture = TypeVar("Picture", Tensor, NDArray[np.uint8], Image.Image)
Mask = Tensor | NDArray[np.bool_] | NDArray[np.uint8] | Image.Image
WHITE = 128  # grey levels from here on are white in a mask that is a PIL image


def inpaint(checkpoint: Restored, image: Picture, mask: Mask) -> Picture:
    """Fill the holes of a picture, or of a batch of pictures, of any size.

    Args:
        checkpoint: what `load_checkpoint` returns; its generator runs on the device that it was loaded to.
        image: a float tensor (3, H, W) or (N, 3, H, W) in [0, 1]; an array (H, W, 3) or (N, H, W, 3), uint8; or a PIL
            image, which is converted to RGB.
        mask: 1 = missing. A tensor or an array holds booleans, 0 and 1, or 0 and 255, and has the shape of `image`
            with one channel or without the channel dimension; a single mask serves a whole batch. A PIL image is
            missing where it is white (grey level 128 or more).

    Returns:
        The filled picture: same type, shape and device as `image`. Pixels outside the hole are unchanged.

    Raises:
        UserError: if a shape, type or value is none of the above, naming what was given.
        NotFinite: if the generator predicts NaN or infinity inside the hole.
    """
    pictures, hole = _picture_tensor(image), _hole_tensor(mask)
    if hole.shape[-2:] != pictures.shape[-2:] or len(hole) not in (1, len(pictures)):
        raise UserError(
            f"the mask must have the size of the picture: expected {_sides(pictures)}, got {_sides(hole)} "
            f"({len(pictures)} pictures, {len(hole)} masks)"
        )
    generator = checkpoint.generator
    device = next(generator.parameters()).device
    hole = hole.expand(len(pictures), -1, -1, -1)
    filled = fill(generator, pictures.to(device), hole.to(device))
    return _like(image, filled, hole)


def _picture_tensor(image: Tensor | NDArray[np.uint8] | Image.Image) -> Tensor:
    """(N, 3, H, W), float32 in [0, 1]."""
    if isinstance(image, Image.Image):
        image = np.array(image.convert("RGB"))
    if isinstance(image, Tensor):
        if not image.is_floating_point() or image.ndim not in (3, 4) or image.shape[-3] != 3:
            raise UserError(
                f"a picture as a tensor must be float, (3, H, W) or (N, 3, H, W); got {image.dtype} "
                f"{tuple(image.shape)}"
            )
        low, high = image.aminmax()
        if not (low >= 0 and high <= 1):
            raise UserError(f"a picture as a tensor must lie in [0, 1]; got values from {low:g} to {high:g}")
        return image.detach().float().reshape(-1, *image.shape[-3:])
    if image.dtype != np.uint8 or image.ndim not in (3, 4) or image.shape[-1] != 3:
        raise UserError(
            f"a picture as an array must be uint8, (H, W, 3) or (N, H, W, 3); got {image.dtype} {image.shape}"
        )
    channels_first = np.moveaxis(image, -1, -3).reshape(-1, 3, *image.shape[-3:-1])
    return from_uint8(torch.from_numpy(channels_first.copy()))


def _hole_tensor(mask: Mask) -> Tensor:
    """(N, 1, H, W), float32, 1 = missing."""
    if isinstance(mask, Tensor):
        values = mask.squeeze(-3) if mask.ndim > 2 else mask
    elif isinstance(mask, Image.Image):
        values = torch.from_numpy(np.asarray(mask.convert("RGB").convert("L")) >= WHITE)
    else:
        values = torch.from_numpy(mask.squeeze(-1).copy() if mask.shape[-1:] == (1,) else mask.copy())
    if values.ndim not in (2, 3) or not values.numel():
        raise UserError(f"a mask must have one channel, (H, W) or (N, H, W); got {tuple(values.shape)}")
    values = values.float()
    hole = (values > 0).float()
    if not torch.equal(values, hole * (255 if values.max() > 1 else 1)):
        raise UserError("a mask must hold 0 and 1, or 0 and 255; apply a threshold to it first, for example mask > 127")
    return hole.reshape(-1, 1, *hole.shape[-2:])


def _like(image: Picture, filled: Tensor, hole: Tensor) -> Picture:
    """`filled` (N, 3, H, W) in the type, shape and device of `image`."""
    if isinstance(image, Tensor):
        in_shape = filled.reshape(image.shape).to(image)
        return composite(image, in_shape, hole.expand_as(filled).reshape(image.shape).to(image.device))
    pixels = to_uint8(filled).permute(0, 2, 3, 1).cpu().numpy()
    if isinstance(image, Image.Image):
        return Image.fromarray(pixels[0])
    return pixels.reshape(image.shape)


def _sides(pictures: Tensor) -> str:
    return f"{pictures.shape[-2]} x {pictures.shape[-1]}"
