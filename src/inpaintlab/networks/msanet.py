"""MSA-Net: multi-scale attention network for image inpainting (Qin, Bai, Zhao, CVIU 2020).

One stage, no discriminator: feature extraction, a group of multi-scale attention units (MSAU, Eqs. 1-4), three
image restoration units (IRU, Eq. 10). There is no released code. Stated in the paper: the pyramid (four dilated
3x3 convolutions, rates 1, 2, 4, 8, 48 maps each), the attentions, the max-pooled masks, three deconvolutions.
Derived from the printed parameter counts: the pyramid sees 128 maps. Everything else (other widths, kernels, two
units) is inferred; `experiments/msanet/README.md` lists what and why.

Convention of the paper, kept inside this file: mask 1 = valid, zeros in the hole, pictures in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

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

T = TypeVar("T")

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


def _pick(option: str, name: str, known: dict[str, T]) -> T:
    check_choice(option, name, known)
    return known[name]


def _conv(inputs: int, outputs: int, kernel: int, *, stride: int = 1, rate: int = 1) -> nn.Sequential:
    padding = rate * (kernel - 1) // 2
    conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, dilation=rate)
    return nn.Sequential(conv, nn.ReLU())


def _join(x: Tensor, masks: Sequence[Tensor]) -> Tensor:
    return torch.cat([x, *(mask.to(x.dtype) for mask in masks)], 1)


def _initialise(module: nn.Module) -> None:
    """He initialisation, biases as the framework and the gates set them.

    None is stated. With the framework's default, features shrink by a factor per layer and trainings without
    attention sit on a plateau (a constant picture) for a random number of batches, which would drown the differences
    that the tables are about.
    """
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    elif isinstance(module, nn.ConvTranspose2d):  # each output sees (kernel / stride)^2 taps of every input map
        taps = module.kernel_size[0] * module.kernel_size[1] / (module.stride[0] * module.stride[1])
        nn.init.normal_(module.weight, std=(2 / (module.in_channels * taps)) ** 0.5)


class Pyramid(nn.Module):
    """Parallel branches on the same features, concatenated and optionally reduced by a 1x1 convolution (Table 1).

    Args:
        branches: the branches.
        attend: one module behind each branch (the spatial attention of Eq. 3), or none.
        reduce: convolution behind the concatenation (the Inception replacements have one), or none.
    """

    def __init__(
        self, branches: Sequence[nn.Module], attend: Sequence[nn.Module] = (), reduce: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.attend = nn.ModuleList(attend or [nn.Identity() for _ in branches])
        self.reduce = reduce if reduce is not None else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        scales = [attend(branch(features)) for branch, attend in zip(self.branches, self.attend, strict=True)]
        return self.reduce(torch.cat(scales, 1))


def pyramid(
    block: str, inputs: int = 128, outputs: int = 192, attend: Callable[[int], nn.Module] | None = None
) -> Pyramid:
    """The multi-scale structure named `block`, one of Table 2's four (widths for 128 -> 192 maps as in Table 1).

    Args:
        block: "msau" (dilation 1, 2, 4, 8), "single" (one dilated convolution of the same size; its rate is not
            printed, 2 is the smallest that dilates), "inception_v1" or "inception_v3".
        inputs, outputs: maps; other than 128 and 192 scale the inner widths in proportion.
        attend: builds the spatial attention for one scale of so many maps.
    """

    def width(printed: int) -> int:
        return max(4, printed * outputs // 192)

    def pooled() -> nn.Module:
        return nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), _conv(inputs, width(64), 1))

    reduce = None
    if block == "msau":
        maps = [width(48)] * 4
        branches: list[nn.Module] = [_conv(inputs, n, 3, rate=rate) for n, rate in zip(maps, (1, 2, 4, 8), strict=True)]
    elif block == "single":
        maps = [outputs]
        branches = [_conv(inputs, outputs, 3, rate=2)]
    elif block == "inception_v1":
        maps = [width(192), width(192), width(64), width(64)]
        branches = [
            _conv(inputs, width(192), 1),
            nn.Sequential(_conv(inputs, width(96), 1), _conv(width(96), width(192), 3)),
            nn.Sequential(_conv(inputs, width(24), 3), _conv(width(24), width(64), 1)),
            pooled(),
        ]
        reduce = _conv(sum(maps), outputs, 1)
    elif block == "inception_v3":
        maps = [width(192), width(48), width(64)]
        branches = [
            _conv(inputs, width(192), 3),
            nn.Sequential(_conv(inputs, width(32), 1), _conv(width(32), width(48), 3), _conv(width(48), width(48), 3)),
            pooled(),
        ]
        reduce = _conv(sum(maps), outputs, 1)
    else:
        raise ValueError(f"block must be one of msau, single, inception_v1, inception_v3; got {block!r}")
    return Pyramid(branches, [attend(n) for n in maps] if attend else (), reduce)


def parameter_counts(block: str) -> dict[str, float]:
    """Table 1: weights, without biases, of a multi-scale structure and of it with its reducing convolution."""

    def weights(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters() if p.dim() > 1)

    built = pyramid(block)
    return {"structure": weights(built.branches), "total": weights(built)}


class Generator(InpaintingGenerator):
    """MSA-Net's network; the defaults are the paper's full model.

    Args:
        block: multi-scale structure of the units: "msau", "single", "inception_v1", "inception_v3" (Table 2).
        mask_update: "max_pool" (the paper's MUM), "resized" (deeper masks without an update) or None (only the
            input carries the mask; "No-MUM" of Table 3); also those of PConv, "partial", and LBAM, "learnable".
        c_a: channel attention of each MSAU: "augmented", "cbam", "sca", "se" or None (Tables 4, 5).
        s_a: spatial attention on each scale: "fusing", "cbam", "sca" or None.
        cs_a: (channel, spatial) attention of each restoration unit, or None.
        gate: "sigmoid" or, literally as Eqs. 5 and 8 are printed, "none"; concerns "augmented" and "fusing".
        n_msau: 2, or 3 with one more upsampling at the end (the other reading of the paper).
        width: factor on all numbers of maps, for small trials.
    """

    def __init__(
        self,
        *,
        block: str = "msau",
        mask_update: str | None = "max_pool",
        c_a: str | None = "augmented",
        s_a: str | None = "fusing",
        cs_a: Sequence[str] | None = ("augmented", "fusing"),
        gate: str = "sigmoid",
        n_msau: int = 2,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        if n_msau not in (2, 3):
            raise ValueError(f"n_msau={n_msau} is not one of 2, 3")
        if cs_a is not None and len(cs_a) != 2:
            raise ValueError(f"cs_a={list(cs_a)} must name two attentions, [channel, spatial], or be null")
        self.multiple = 2 ** (1 + n_msau)
        first, middle, down, bundle = (max(8, round(n * width / 4) * 4) for n in (32, 64, 128, 192))

        def channel(name: str, maps: int) -> nn.Module:
            build = _pick("channel attention", name, CHANNEL_ATTENTIONS)
            return build(maps, gate=gate) if name == "augmented" else build(maps)

        def spatial(name: str, maps: int) -> nn.Module:
            build = _pick("spatial attention", name, SPATIAL_ATTENTIONS)
            return build(maps, gate=gate) if name == "fusing" else build(maps)

        update = _pick("mask_update", mask_update, MASK_UPDATES) if mask_update else None
        self.mask_updates = nn.ModuleList(update() for _ in range(n_msau)) if update else None
        joined = 1 if mask_update else 0  # the mask is joined to the input of every downsampling convolution
        self.extract_first = _conv(4, first, 7)
        self.extract_down = _conv(first + joined, middle, 3, stride=2)
        self.extract_last = _conv(middle, middle, 3)

        self.downs, self.pyramids, self.aggregates = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        inputs = middle
        for _ in range(n_msau):
            self.downs.append(_conv(inputs + joined, down, 3, stride=2))
            attend = (lambda maps, name=s_a: spatial(name, maps)) if s_a else None
            self.pyramids.append(pyramid(block, down, bundle, attend))
            attend_channels = channel(c_a, bundle) if c_a else nn.Identity()
            self.aggregates.append(nn.Sequential(attend_channels, _conv(bundle, bundle, 1)))
            inputs = bundle

        self.restore = nn.ModuleList()
        for maps in (down, middle, first):
            unit: list[nn.Module] = [nn.ConvTranspose2d(inputs, maps, 4, stride=2, padding=1), nn.ReLU()]
            if cs_a is not None:
                unit += [channel(cs_a[0], maps), spatial(cs_a[1], maps)]
            self.restore.append(nn.Sequential(*unit))
            inputs = maps
        last: list[nn.Module] = [nn.ConvTranspose2d(first, first, 4, stride=2, padding=1), nn.ReLU()]
        self.output = nn.Sequential(*(last if n_msau == 3 else ()), nn.Conv2d(first, 3, 3, padding=1))
        for module in self.modules():
            _initialise(module)

    def forward(self, image: Tensor, hole: Tensor) -> Output:
        """Predict the whole picture.

        Args:
            image: (N, 3, H, W) in [0, 1], H and W multiples of `self.multiple`; the hole's content is ignored.
            hole: (N, 1, H, W), 1 = missing.

        Returns:
            The prediction and four features: MSAG output, U_1, U_2, U_3 (Eqs. 4 and 10).
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
        """The mask that each downsampling convolution sees beside the features, or nothing."""
        if self.mask_updates is None:
            return [[] for _ in range(1 + len(self.downs))]
        return [[valid], *([gate] for gate, _ in follow(self.mask_updates, valid))]

    def constrain(self) -> None:
        """Clamp the parameters of learned mask updates into their ranges; for after an optimiser's step."""
        mask_activation.constrain(self)
