"""A toy network, the smallest example of a paper: three convolutions on the picture and its hole."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from inpaintlab.batch import Output
from inpaintlab.image import empty_hole
from inpaintlab.networks.generator import InpaintingGenerator


class Generator(InpaintingGenerator):
    """The toy's network; the defaults are the full model.

    Args:
        dilation: of the middle convolution (Table 1: 4, 1).
        width: factor on the number of channels.
    """

    def __init__(self, *, dilation: int = 4, width: float = 1.0) -> None:
        super().__init__()
        channels = round(32 * width)
        self.layers = nn.Sequential(
            nn.Conv2d(4, channels, 5, padding=2), nn.ELU(),
            nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation), nn.ELU(),
            nn.Conv2d(channels, 3, 3, padding=1),
        )  # fmt: skip

    def forward(self, image: Tensor, hole: Tensor) -> Output:
        """Predict the whole picture from (N, 3, H, W) in [0, 1] and (N, 1, H, W), 1 = missing."""
        return Output(self.layers(torch.cat([empty_hole(image, hole), hole], 1)))
