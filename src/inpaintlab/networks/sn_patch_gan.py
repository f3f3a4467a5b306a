"""SN-PatchGAN, the discriminator of gated convolution (DeepFill v2; Yu et al., ICCV 2019), for the hinge loss.

Six 5x5 convolutions of stride 2 with spectral norm; every entry of the last maps is a score. The leaky ReLU follows
the last layer too. The authors' TensorFlow code ("authors") and mmagic ("mmagic") differ in the padding alone.

Convention of the paper, kept inside this file: pictures in [-1, 1], RGB (the TensorFlow weights expect BGR).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaintlab.errors import check_choice
from inpaintlab.layers.spectral_conv import SpectralConv
from inpaintlab.layers.weight_init import glorot

PADDING = {"authors": "same", "mmagic": "symmetric"}  # rule of `layers.same_conv`
MAPS = (64, 128, 256, 256, 256, 256)


class Discriminator(nn.Module):
    """Judges pictures together with their holes (5,946,816 parameters).

    Args:
        follows: whose code, "authors" or "mmagic".
        width: factor on all numbers of maps, for small trials.
    """

    def __init__(self, *, follows: str = "authors", width: float = 1.0) -> None:
        super().__init__()
        check_choice("follows", follows, PADDING)
        maps = [max(4, round(n * width / 4) * 4) for n in MAPS]
        self.convs = nn.ModuleList(
            SpectralConv(inputs, outputs, 5, stride=2, rule=PADDING[follows])
            for inputs, outputs in zip([4, *maps[:-1]], maps, strict=True)
        )
        if follows == "authors":
            glorot(self)

    def forward(self, image: Tensor, hole: Tensor) -> Tensor:
        """Scores (N, 256 ceil(H / 64) ceil(W / 64)) of pictures (N, 3, H, W) in [0, 1] with holes (N, 1, H, W)."""
        x = torch.cat([2 * image - 1, hole], 1)
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
        return x.flatten(1)
