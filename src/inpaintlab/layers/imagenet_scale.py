"""Colour scales that networks expect."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ImagenetScale(nn.Module):
    """Pictures (N, 3, H, W) in [0, 1] with the mean and deviation of ImageNet's colours taken out, and back.

    The constants are buffers, so that they are on the device already, and are in no checkpoint.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.std

    def back(self, image: Tensor) -> Tensor:
        """From ImageNet's scale to [0, 1]."""
        return image * self.std + self.mean
