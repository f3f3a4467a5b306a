"""VGG-16 (Simonyan & Zisserman 2015, torchvision's layout) as a frozen feature extractor for losses.

The caller passes the weights; nothing is downloaded. They are non-persistent buffers: they move with the module, but
optimisers, gradient buckets and checkpoints do not contain them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaintlab.layers.imagenet_scale import ImagenetScale
from inpaintlab.networks.extractors.weight_checks import require_entries, require_random

BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def layer_names() -> list[str]:
    """Return the layers whose features are available, in order: relu1_1, relu1_2, pool1, relu2_1, ..., pool5."""
    names = []
    for block, channels in enumerate(BLOCKS, 1):
        names += [f"relu{block}_{i}" for i in range(1, len(channels) + 1)] + [f"pool{block}"]
    return names


def _convolutions() -> dict[str, tuple[str, tuple[int, int, int, int]]]:
    """Return, for each relu layer, the name of its convolution in torchvision's state dict and the weight's shape."""
    found, index, inputs = {}, 0, 3
    for block, channels in enumerate(BLOCKS, 1):
        for i, outputs in enumerate(channels, 1):
            found[f"relu{block}_{i}"] = (f"features.{index}", (outputs, inputs, 3, 3))
            index, inputs = index + 2, outputs
        index += 1
    return found


class Vgg16(nn.Module):
    """Feature extractor.

    Args:
        weights: torchvision's state dict of VGG-16 (the classifier, and layers after the last one of `layers`, may be
            missing), or "random" for fixed untrained weights.
        layers: names from `layer_names`; the default are the layers that PConv and LBAM compare.
        normalise: standardise pictures with ImageNet's mean and standard deviation first. The weights were trained
            with it; LBAM's released loss omits it.

    Raises:
        ValueError: if `layers` is empty or contains an unknown name, or `weights` is another word than "random".
        UserError: if an entry of the weights is missing or of another shape.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor] | str,
        *,
        layers: Sequence[str] = ("pool1", "pool2", "pool3"),
        normalise: bool = True,
    ) -> None:
        super().__init__()
        known = layer_names()
        unknown = [name for name in layers if name not in known]
        if unknown or not layers:
            raise ValueError(f"layers must be one or more of {', '.join(known)}; got {list(layers)}")
        self.layers = tuple(layers)
        self.untrained = isinstance(weights, str)
        self.scale = ImagenetScale() if normalise else nn.Identity()
        self.order = known[: max(map(known.index, layers)) + 1]
        needed = {name: conv for name, conv in _convolutions().items() if name in self.order}
        if isinstance(weights, str):
            require_random(weights)
            weights = _untrained(needed)
        _check(weights, needed)
        for name, (source, _) in needed.items():
            for part in ("weight", "bias"):
                value = weights[f"{source}.{part}"].detach().to(torch.float32, copy=True)
                self.register_buffer(f"{name}_{part}", value, persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return features (N, C, H / 2^k, W / 2^k) of pictures (N, 3, H, W) in [0, 1], in the order of `layers`."""
        x = self.scale(image)
        features = {}
        for name in self.order:
            if name.startswith("pool"):
                x = F.max_pool2d(x, 2)
            else:
                x = F.relu(F.conv2d(x, self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias"), padding=1))
            features[name] = x
        return [features[name] for name in self.layers]


def _untrained(needed: Mapping[str, tuple[str, tuple[int, int, int, int]]]) -> dict[str, Tensor]:
    chance = torch.Generator().manual_seed(0)
    weights = {}
    for source, shape in needed.values():
        std = (2 / (shape[1] * 9)) ** 0.5  # He initialisation: features keep their size through the ReLUs
        weights[f"{source}.weight"] = torch.randn(shape, generator=chance) * std
        weights[f"{source}.bias"] = torch.zeros(shape[0])
    return weights


def _check(weights: Mapping[str, Tensor], needed: Mapping[str, tuple[str, tuple[int, int, int, int]]]) -> None:
    expected: dict[str, tuple[int, ...]] = {f"{source}.weight": shape for source, shape in needed.values()}
    expected |= {f"{source}.bias": shape[:1] for source, shape in needed.values()}
    require_entries(weights, expected, "torchvision's weights of VGG-16")
