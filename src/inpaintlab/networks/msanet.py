"""MSA-Net: multi-scale attention network for image inpainting (Qin, Bai, Zhao, CVIU 2020).

One stage without discriminator: feature extraction, a group of multi-scale attention units (MSAU, Eqs. 1-4), and
three image restoration units (IRU, Eq. 10). The authors published no code. The paper states the pyramid (four dilated
3x3 convolutions, rates 1, 2, 4, 8, 48 channels each), the attentions, the max-pooled masks and three transposed
convolutions. The 128 input channels of the pyramid follow from the printed parameter counts. Everything else (other
widths, kernels, the number of units) is inferred; `experiments/msanet/README.md` lists what and why.

Convention of the paper, kept inside this file: mask 1 = valid, zeros in the hole, pictures in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from inpaintlab.batch import Output
from inpaintlab.errors import check_choice
from inpaintlab.image import empty_hole
from inpaintlab.layers import gate_attention as gates
from inpaintlab.layers import mask_activation
from inpaintlab.layers.attention_map_blocks import follow
from inpaintlab.layers.mask_update import LearnableMaskUpdate, MaxPoolMaskUpdate, PartialMaskUpdate, ResizedMask
from inpaintlab.networks.generator import InpaintingGenerator
from inpaintlab.networks.msanet_pyramid import conv_relu, pyramid
from inpaintlab.networks.widths import scale_channels

CHANNEL_ATTENTIONS: dict[str, Callable[..., nn.Module]] = {
    "augmented": gates.AugmentedChannelAttention,
    "cbam": gates.CbamChannelAttention,
    "sca": gates.ScaChannelAttention,
    "se": gates.SqueezeExcitation,
}
SPATIAL_ATTENTIONS: dict[str, Callable[..., nn.Module]] = {
    "fusing": gates.FusingSpatialAttention,
    "cbam": gates.CbamSpatialAttention,
    "sca": gates.ScaSpatialAttention,
}
MASK_UPDATES: dict[str, Callable[[], nn.Module]] = {
    "max_pool": MaxPoolMaskUpdate,
    "resized": ResizedMask,
    "partial": lambda: PartialMaskUpdate(stride=2),
    "learnable": lambda: LearnableMaskUpdate(
        1, 1, mask_activation.attention("gaussian"), mask_activation.update("power"), kernel=3
    ),
}


def _channel_attention(name: str, gate: str, channels: int) -> nn.Module:
    check_choice("channel attention", name, CHANNEL_ATTENTIONS)
    build = CHANNEL_ATTENTIONS[name]
    return build(channels, gate=gate) if name == "augmented" else build(channels)


def _spatial_attention(name: str, gate: str, channels: int) -> nn.Module:
    check_choice("spatial attention", name, SPATIAL_ATTENTIONS)
    build = SPATIAL_ATTENTIONS[name]
    return build(channels, gate=gate) if name == "fusing" else build(channels)


def _join(x: Tensor, masks: Sequence[Tensor]) -> Tensor:
    return torch.cat([x, *(mask.to(x.dtype) for mask in masks)], 1)


def _initialise(module: nn.Module) -> None:
    """Apply He initialisation to weights; biases keep the values that PyTorch gives them.

    The paper states no initialisation. With PyTorch's default, features shrink with every layer, and networks without
    attention stay on a plateau (a constant picture) for a random number of batches. That would hide the differences
    that the tables measure.
    """
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    elif isinstance(module, nn.ConvTranspose2d):  # each output sees (kernel / stride)^2 taps of every input channel
        taps = module.kernel_size[0] * module.kernel_size[1] / (module.stride[0] * module.stride[1])
        nn.init.normal_(module.weight, std=(2 / (module.in_channels * taps)) ** 0.5)


def parameter_counts(block: str) -> dict[str, float]:
    """Count the weights of a multi-scale structure, without biases, as Table 1 does.

    Returns:
        "structure", the branches alone, and "total", with the reducing convolution.
    """

    def weights(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters() if p.dim() > 1)

    built = pyramid(block)
    return {"structure": weights(built.branches), "total": weights(built)}


class Generator(InpaintingGenerator):
    """The network of MSA-Net; the defaults are the paper's full model.

    Args:
        block: multi-scale structure of the units: "msau", "single", "inception_v1", "inception_v3" (Table 2).
        mask_update: "max_pool" (the paper's MUM), "resized" (masks for deeper layers, without an update) or None (the
            mask is part of the input only, "No-MUM" of Table 3). Also "partial" of PConv and "learnable" of LBAM.
        c_a: channel attention of each MSAU: "augmented", "cbam", "sca", "se" or None (Tables 4, 5).
        s_a: spatial attention on each scale: "fusing", "cbam", "sca" or None.
        cs_a: (channel, spatial) attention of each restoration unit, or None.
        gate: of "augmented" and "fusing": "double_sigmoid", whose gates start at exactly one, "sigmoid", or "none" as
            Eqs. 5 and 8 are printed. The paper leaves activation and start open; see `layers.gate_attention`.
        n_msau: number of MSAUs, 2, or 3 with one more upsampling at the end (another reading of the paper).
        width: factor on all numbers of channels, for small trials.
    """

    def __init__(
        self,
        *,
        block: str = "msau",
        mask_update: str | None = "max_pool",
        c_a: str | None = "augmented",
        s_a: str | None = "fusing",
        cs_a: Sequence[str] | None = ("augmented", "fusing"),
        gate: str = "double_sigmoid",
        n_msau: int = 2,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        check_choice("n_msau", n_msau, (2, 3))
        check_choice("mask_update", mask_update, (*MASK_UPDATES, None))
        if cs_a is not None and len(cs_a) != 2:
            raise ValueError(f"cs_a={list(cs_a)} must name two attentions, [channel, spatial], or be null")
        self.multiple = 2 ** (1 + n_msau)
        first, middle, down, bundle = scale_channels((32, 64, 128, 192), width, least=8)
        self.mask_updates = nn.ModuleList(MASK_UPDATES[mask_update]() for _ in range(n_msau)) if mask_update else None
        joined = 1 if mask_update else 0  # every downsampling convolution sees the mask as one more channel
        self.extract_first = conv_relu(4, first, 7)
        self.extract_down = conv_relu(first + joined, middle, 3, stride=2)
        self.extract_last = conv_relu(middle, middle, 3)

        self.downs, self.pyramids, self.aggregates = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        inputs = middle
        for _ in range(n_msau):
            self.downs.append(conv_relu(inputs + joined, down, 3, stride=2))
            attend = partial(_spatial_attention, s_a, gate) if s_a else None
            self.pyramids.append(pyramid(block, down, bundle, attend))
            attend_channels = _channel_attention(c_a, gate, bundle) if c_a else nn.Identity()
            self.aggregates.append(nn.Sequential(attend_channels, conv_relu(bundle, bundle, 1)))
            inputs = bundle

        self.restore = nn.ModuleList()
        for outputs in (down, middle, first):
            unit: list[nn.Module] = [nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU()]
            if cs_a is not None:
                unit += [_channel_attention(cs_a[0], gate, outputs), _spatial_attention(cs_a[1], gate, outputs)]
            self.restore.append(nn.Sequential(*unit))
            inputs = outputs
        last: list[nn.Module] = [nn.ConvTranspose2d(first, first, 4, stride=2, padding=1), nn.ReLU()]
        self.output = nn.Sequential(*(last if n_msau == 3 else ()), nn.Conv2d(first, 3, 3, padding=1))
        for module in self.modules():
            _initialise(module)
        gates.reset_gates(self)

    def forward(self, image: Tensor, hole: Tensor) -> Output:
        """Predict whole pictures; see `InpaintingGenerator.forward`.

        Returns:
            The prediction and four features: the output of the MSAU group, U_1, U_2, U_3 (Eqs. 4 and 10).
        """
        self.require_size(hole)
        valid = 1 - hole
        x = self.extract_first(torch.cat([empty_hole(image, hole), valid], 1))
        first, *masks = self._joined(valid)
        x = self.extract_last(self.extract_down(_join(x, first)))
        for mask, down, scales, aggregate in zip(masks, self.downs, self.pyramids, self.aggregates, strict=True):
            x = aggregate(scales(down(_join(x, mask))))
        features = [x]
        for unit in self.restore:
            x = unit(x)
            features.append(x)
        return Output(image=self.output(x), features=tuple(features))

    def _joined(self, valid: Tensor) -> list[list[Tensor]]:
        """Return the masks that each downsampling convolution sees beside the features; none without updates."""
        if self.mask_updates is None:
            return [[] for _ in range(1 + len(self.downs))]
        return [[valid], *([gate] for gate, _ in follow(self.mask_updates, valid))]

    def constrain(self) -> None:
        """Clamp the parameters of learned mask updates into their ranges."""
        mask_activation.constrain(self)
