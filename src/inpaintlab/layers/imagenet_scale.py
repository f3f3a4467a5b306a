"""The colour scale of networks that were trained on ImageNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ImagenetScale(nn.Module):
    """Normalise pictures (N, 3, H, W) in [0, 1] with the mean and standard deviation of ImageNet's colours.

    The constants are non-persistent buffers: they move with the module and are not saved in checkpoints.
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
        """Undo the normalisation: return pictures in [0, 1]."""
        return image * self.std + self.mean
