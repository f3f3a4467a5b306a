"""Gate attention: multiply features by learned weights.

Every layer is called as `layer(features)` with features (N, C, H, W) and returns features of the same shape, so that
the layers are interchangeable:

- `FusingSpatialAttention`, `AugmentedChannelAttention`: MSA-Net (Qin et al. 2020), Eqs. 5-6 and 7-9;
- `CbamChannelAttention`, `CbamSpatialAttention`: CBAM (Woo et al. 2018);
- `ScaChannelAttention`, `ScaSpatialAttention`: SCA-CNN (Chen et al. 2017), without the caption decoder's state;
- `SqueezeExcitation`: SE-Net (Hu et al. 2018).

MSA-Net's equations show no activation on the gates and the paper states no initialisation. The option `gate` of its two
layers chooses both:

- "double_sigmoid", the default: 2 sigmoid(x), in (0, 2). The convolutions that x is the sum of start at zero, so every
  gate starts at exactly one and the network starts as the same network without attention;
- "sigmoid": sigmoid(x), in (0, 1). The gates start near 0.5. Nested three times, as in MSA-Net, they shrink the
  features by two orders of magnitude, and the training begins with a plateau of random length;
- "none": x itself, as printed, without bounds. The gates start at exactly one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from inpaintlab.errors import check_choice

GATES = ("double_sigmoid", "sigmoid", "none")


class _Gated(nn.Module):
    """Base of MSA-Net's layers: the activation of the gate and its start."""

    def __init__(self, gate: str) -> None:
        super().__init__()
        check_choice("gate", gate, GATES)
        self.kind = gate

    def last(self) -> tuple[nn.Conv2d, ...]:
        """Return the convolutions whose outputs are added to give the gate before its activation."""
        raise NotImplementedError

    def reset_gate(self) -> None:
        """Make the gate exactly one for every input, unless it is "sigmoid"; call it after any initialisation."""
        if self.kind == "sigmoid":
            return
        for number, convolution in enumerate(self.last()):
            assert convolution.bias is not None
            nn.init.zeros_(convolution.weight)
            nn.init.constant_(convolution.bias, 1.0 if self.kind == "none" and number == 0 else 0.0)

    def gate(self, logits: Tensor) -> Tensor:
        if self.kind == "none":
            return logits
        return torch.sigmoid(logits) * (2 if self.kind == "double_sigmoid" else 1)


def reset_gates(network: nn.Module) -> None:
    """Make the gates of all layers in `network` start as their option `gate` states."""
    for module in network.modules():
        if isinstance(module, _Gated):
            module.reset_gate()


def _bottleneck(channels: int, reduction: int) -> nn.Sequential:
    """Build two fully connected layers on (N, C, 1, 1) with a ReLU between them."""
    inner = channels // reduction
    return nn.Sequential(nn.Conv2d(channels, inner, 1), nn.ReLU(), nn.Conv2d(inner, channels, 1))


class FusingSpatialAttention(_Gated):
    """Spatial attention from three maps: deep, maximum and average (MSA-Net, Fig. 4, Eqs. 5-6).

    Three 3x3 convolutions with C/2, C/4 and 1 channels extract the deep map (inferred; the paper says "gradually"); a
    3x3 convolution fuses the three maps into one.

    Args:
        channels: C, at least 4.
        gate: "double_sigmoid", "sigmoid" or "none"; see the module.
    """

    def __init__(self, channels: int, *, gate: str = "double_sigmoid") -> None:
        super().__init__(gate)
        self.deep = nn.Sequential(
            nn.Conv2d(channels, channels // 2, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels // 2, channels // 4, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels // 4, 1, 3, padding=1),
        )
        self.fuse = nn.Conv2d(3, 1, 3, padding=1)
        self.reset_gate()

    def last(self) -> tuple[nn.Conv2d, ...]:
        return (self.fuse,)

    def forward(self, features: Tensor) -> Tensor:
        maps = [self.deep(features), features.amax(1, keepdim=True), features.mean(1, keepdim=True)]
        return features * self.gate(self.fuse(torch.cat(maps, 1)))  # (N, 1, H, W)


class AugmentedChannelAttention(_Gated):
    """Channel attention from a plain and a squeezed branch, W_c = W_a + W_r (MSA-Net, Fig. 6, Eqs. 7-9).

    Inferred: F_s is a linear 3x3 convolution C -> C; the squeezing convolution has stride 2 and C channels; both
    poolings are global; a ReLU follows the layer of C / reduction units.

    Args:
        channels: C.
        reduction: r in the paper, which uses 4.
        gate: "double_sigmoid", "sigmoid" or "none"; see the module.
    """

    def __init__(self, channels: int, *, reduction: int = 4, gate: str = "double_sigmoid") -> None:
        super().__init__(gate)
        self.shallow = nn.Conv2d(channels, channels, 3, padding=1)
        self.squeeze = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.reduce = nn.Conv2d(channels, channels // reduction, 1)
        self.expand = nn.Conv2d(channels // reduction, channels, 1)
        self.reset_gate()

    def last(self) -> tuple[nn.Conv2d, ...]:
        return (self.expand, self.shallow)

    def forward(self, features: Tensor) -> Tensor:
        shallow = self.shallow(features)
        average = shallow.mean((2, 3), keepdim=True)  # W_a (N, C, 1, 1)
        squeezed = torch.relu(self.squeeze(shallow)).mean((2, 3), keepdim=True)
        return features * self.gate(average + self.expand(torch.relu(self.reduce(squeezed))))


class CbamChannelAttention(nn.Module):
    """Channel attention sigmoid(MLP(average) + MLP(maximum)) over positions; both share the MLP (CBAM, Eq. 2)."""

    def __init__(self, channels: int, *, reduction: int = 4) -> None:
        super().__init__()
        self.mlp = _bottleneck(channels, reduction)

    def forward(self, features: Tensor) -> Tensor:
        average, maximum = features.mean((2, 3), keepdim=True), features.amax((2, 3), keepdim=True)
        return features * torch.sigmoid(self.mlp(average) + self.mlp(maximum))


class CbamSpatialAttention(nn.Module):
    """Spatial attention: sigmoid of a 7x7 convolution of the average and maximum over channels (CBAM, Eq. 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        del channels  # accepted because all spatial attentions are built with it
        self.conv = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, features: Tensor) -> Tensor:
        maps = torch.cat([features.mean(1, keepdim=True), features.amax(1, keepdim=True)], 1)
        return features * torch.sigmoid(self.conv(maps))


class ScaChannelAttention(nn.Module):
    """Softmax over channels of a linear map of tanh(w v_c + b), where v_c is the mean of channel c (SCA-CNN, Eq. 6).

    The softmax weights sum to one and are multiplied by C, because the features would otherwise shrink towards zero.

    Args:
        channels: C.
        reduction: each channel's mean is mapped to C / reduction numbers, k in the original.
    """

    def __init__(self, channels: int, *, reduction: int = 4) -> None:
        super().__init__()
        self.lift = nn.Linear(1, channels // reduction)
        self.score = nn.Linear(channels // reduction, 1)

    def forward(self, features: Tensor) -> Tensor:
        pooled = features.mean((2, 3)).unsqueeze(-1)  # (N, C, 1)
        scores = self.score(torch.tanh(self.lift(pooled)))  # (N, C, 1)
        weights = scores.softmax(1) * features.shape[1]
        return features * weights.unsqueeze(-1)


class ScaSpatialAttention(nn.Module):
    """Softmax over positions of a linear map of tanh(W_s V) (SCA-CNN, Eq. 4), multiplied by the number of positions."""

    def __init__(self, channels: int, *, reduction: int = 4) -> None:
        super().__init__()
        self.lift = nn.Conv2d(channels, channels // reduction, 1)
        self.score = nn.Conv2d(channels // reduction, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        scores = self.score(torch.tanh(self.lift(features)))  # (N, 1, H, W)
        weights = scores.flatten(1).softmax(1).view_as(scores)
        return features * weights * (scores.shape[2] * scores.shape[3])


class SqueezeExcitation(nn.Module):
    """Global average, two fully connected layers, sigmoid (SE-Net, Eqs. 2-4)."""

    def __init__(self, channels: int, *, reduction: int = 4) -> None:
        super().__init__()
        self.mlp = _bottleneck(channels, reduction)

    def forward(self, features: Tensor) -> Tensor:
        return features * torch.sigmoid(self.mlp(features.mean((2, 3), keepdim=True)))
