"""SN-PatchGAN, the discriminator of gated convolution (DeepFill v2; Yu et al., ICCV 2019), for the hinge loss.

Six 5x5 convolutions of stride 2 with spectral norm, each followed by a leaky ReLU, the last one included; every entry
of the last features is a score. The authors' TensorFlow code ("authors") and mmagic ("mmagic") differ in the padding
alone.

Convention of the paper, kept inside this file: pictures in [-1, 1], RGB (the TensorFlow weights expect BGR).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaintlab.errors import check_choice
from inpaintlab.layers.spectral_conv import SpectralConv
from inpaintlab.layers.weight_init import glorot
from inpaintlab.networks.widths import scale_channels

PADDING = {"authors": "same", "mmagic": "symmetric"}  # rule of `layers.same_conv`
CHANNELS = (64, 128, 256, 256, 256, 256)


class Discriminator(nn.Module):
    """Discriminator of pictures and their holes (5,946,816 parameters).

    Args:
        follows: whose code, "authors" or "mmagic".
        width: factor on all numbers of channels, for small trials.
    """

    def __init__(self, *, follows: str = "authors", width: float = 1.0) -> None:
        super().__init__()
        check_choice("follows", follows, PADDING)
        channels = scale_channels(CHANNELS, width)
        self.convs = nn.ModuleList(
            SpectralConv(inputs, outputs, 5, stride=2, rule=PADDING[follows])
            for inputs, outputs in zip([4, *channels[:-1]], channels, strict=True)
        )
        if follows == "authors":
            glorot(self)

    def forward(self, image: Tensor, hole: Tensor) -> Tensor:
        """Return scores (N, 256 ceil(H / 64) ceil(W / 64)).

        Args:
            image: (N, 3, H, W) in [0, 1].
            hole: (N, 1, H, W), 1 = missing.
        """
        x = torch.cat([2 * image - 1, hole], 1)
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
        return x.flatten(1)
