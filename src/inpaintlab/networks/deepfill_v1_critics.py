"""The two critics of DeepFill v1 (Yu et al., CVPR 2018), for WGAN-GP.

One judges the whole picture, the other the square around the hole. They share no weights, and each has its own scores.
Each has 5x5 convolutions of stride 2 with leaky ReLU and a linear layer, without normalisation. The authors' TensorFlow
code ("authors") and the PyTorch port ("port") differ in the padding and in the last convolution of the local critic.

Convention of the paper, kept inside this file: pictures in [-1, 1], RGB (the TensorFlow weights expect BGR).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from inpaintlab.errors import check_choice
from inpaintlab.layers.local_crop import crop, local_box
from inpaintlab.layers.same_conv import SameConv
from inpaintlab.layers.weight_init import glorot
from inpaintlab.networks.widths import scale_channels

# Channels of the local critic's last convolution, as a multiple of those of the first.
LOCAL_LAST = {"authors": 8, "port": 4}
PADDING = {"authors": "same", "port": "symmetric"}  # rule of `layers.same_conv`


class Critic(nn.Module):
    """One critic.

    The linear layer reads the features in the order channel, row, column, as in the port. TensorFlow's order is row,
    column, channel, so its weights must be permuted before they are loaded.

    Args:
        channels: output channels of the convolutions.
        size: height and width of the input.
        rule: padding rule, see `layers.same_conv`.
    """

    def __init__(self, channels: Sequence[int], size: int, rule: str) -> None:
        super().__init__()
        self.size = size
        self.convs = nn.ModuleList(
            SameConv(inputs, outputs, 5, stride=2, rule=rule, activation="none")
            for inputs, outputs in zip([3, *channels[:-1]], channels, strict=True)
        )
        side = -(-size // 2 ** len(channels))
        self.linear = nn.Linear(channels[-1] * side**2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (N, 1) of pictures (N, 3, size, size) in [-1, 1].

        Raises:
            ValueError: for pictures of another size.
        """
        if x.shape[-2:] != (self.size, self.size):
            raise ValueError(f"this critic judges pictures of {self.size}x{self.size}, got {tuple(x.shape[-2:])}")
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
        return self.linear(x.flatten(1))


class Critics(nn.Module):
    """The local and the global critic (4,339,329 and 2,733,441 parameters; the port's local one 2,684,289).

    Args:
        follows: whose code, "authors" or "port".
        size: height and width of the pictures.
        local_size: height and width of the square around the hole; the authors use half of `size`.
        width: factor on all numbers of channels, for small trials.
    """

    def __init__(self, *, follows: str = "authors", size: int = 256, local_size: int = 128, width: float = 1.0) -> None:
        super().__init__()
        check_choice("follows", follows, LOCAL_LAST)
        if not 1 <= local_size <= size:
            raise ValueError(f"local_size must be 1 to {size}, the size of the pictures; got {local_size}")
        self.local_size = local_size
        (first,), rule = scale_channels((64,), width), PADDING[follows]
        self.local = Critic([first, 2 * first, 4 * first, LOCAL_LAST[follows] * first], local_size, rule)
        self.whole = Critic([first, 2 * first, 4 * first, 4 * first], size, rule)
        if follows == "authors":
            glorot(self)

    def forward(self, image: Tensor, hole: Tensor) -> list[Tensor]:
        """Return the scores of the local and of the global critic, each (N, 1).

        Args:
            image: (N, 3, size, size) in [0, 1].
            hole: (N, 1, size, size), 1 = missing; sets the square of the local critic.
        """
        local, whole = self.views(image, hole)
        return [self.local(local), self.whole(whole)]

    def views(self, image: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inputs of the local and of the global critic, in [-1, 1], for pictures in [0, 1]."""
        whole = 2 * image - 1
        return self.square(whole, hole), whole

    def square(self, picture: Tensor, hole: Tensor) -> Tensor:
        """Cut the square around the hole from (N, C, size, size)."""
        return crop(picture, *local_box(hole, self.local_size), self.local_size)


def port_name(name: str) -> str:
    """Return the name of a weight of `Critics` in the port, prefixed by its state dict, "localD" or "globalD"."""
    critic, rest = name.split(".", 1)
    if rest.startswith("convs."):
        _, layer, entry = rest.split(".")
        rest = f"dis_conv_module.conv{int(layer) + 1}.conv.{entry}"
    return f"{ {'local': 'localD', 'whole': 'globalD'}[critic] }.{rest}"
