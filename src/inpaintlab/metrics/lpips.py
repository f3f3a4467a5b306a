"""LPIPS 0.1 (Zhang et al., CVPR 2018): distance of AlexNet features, with channel weights fitted to human judgements.

The channel weights come with torchmetrics. The caller provides those of AlexNet; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchmetrics
from numpy.typing import NDArray
from torch import Tensor, nn

from inpaintlab.metrics.image_metrics import Picture, require
from inpaintlab.metrics.protocols import Column
from inpaintlab.networks.extractors.weight_checks import UNTRAINED, require_entries, require_random

KEY = "lpips"
LEAST = 32  # pixels per side; AlexNet reduces smaller pictures to nothing
# Name in torchvision's state dict, output and input channels, kernel, stride, padding, whether a pooling precedes.
LAYERS = (
    ("features.0", 64, 3, 11, 4, 2, False),
    ("features.3", 192, 64, 5, 1, 2, True),
    ("features.6", 384, 192, 3, 1, 1, True),
    ("features.8", 256, 384, 3, 1, 1, False),
    ("features.10", 256, 256, 3, 1, 1, False),
)
HEADS = Path(torchmetrics.__file__).parent / "functional" / "image" / "lpips_models" / "alex.pth"


class Lpips(nn.Module):
    """Perceptual distance of pictures; lower is better.

    Args:
        weights: torchvision's state dict of AlexNet, or "random" for untrained weights from a fixed seed.
        origin: where the weights come from, for the record of the evaluation.

    Raises:
        UserError: if an entry of the weights is missing or has another shape.
        ValueError: if `weights` is a string other than "random".
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, weights: Mapping[str, Tensor] | str, origin: str = "") -> None:
        super().__init__()
        self.untrained = isinstance(weights, str)
        self.origin = UNTRAINED if self.untrained else origin
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[:, None, None])
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[:, None, None])
        if isinstance(weights, str):
            require_random(weights)
            weights = _random()
        require_entries(weights, _shapes(), "torchvision's weights of AlexNet")
        heads = torch.load(HEADS, map_location="cpu", weights_only=True)
        for place, layer in enumerate(LAYERS):
            self.register_buffer(f"weight{place}", weights[f"{layer[0]}.weight"])
            self.register_buffer(f"bias{place}", weights[f"{layer[0]}.bias"])
            self.register_buffer(f"head{place}", heads[f"lin{place}.model.1.weight"])

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Return the features after each ReLU, normalised over the channels, of pictures (N, 3, H, W) in [0, 1]."""
        x, found = (2 * pictures - 1 - self.shift) / self.scale, []
        for place, (_, _, _, _, stride, padding, pooled) in enumerate(LAYERS):
            x = F.max_pool2d(x, 3, 2) if pooled else x
            weight, bias = self.get_buffer(f"weight{place}"), self.get_buffer(f"bias{place}")
            x = F.relu(F.conv2d(x, weight, bias, stride, padding))
            found.append(x / torch.sqrt(1e-8 + x.square().sum(1, keepdim=True)))
        return found

    @torch.no_grad()
    def forward(self, result: Tensor, truth: Tensor) -> Tensor:
        """Return the distances (N,) of pictures (N, 3, H, W) in [0, 1]."""
        pairs = zip(self.features(result), self.features(truth), strict=True)
        parts = [
            F.conv2d((a - b).square(), self.get_buffer(f"head{place}")).mean((1, 2, 3))
            for place, (a, b) in enumerate(pairs)
        ]
        return torch.stack(parts).sum(0)


def column(network: Lpips) -> Column:
    """Return LPIPS as a column of a protocol. It is computed picture by picture, so it does not depend on the batch."""

    def compute(result: Picture, truth: Picture) -> float:
        require(result, truth, LEAST)
        return float(network(_tensor(result, network), _tensor(truth, network)))

    return Column(compute, higher_is_better=False, unit="")


def _tensor(picture: NDArray[np.uint8], network: Lpips) -> Tensor:
    return torch.from_numpy(picture).to(network.shift.device).permute(2, 0, 1)[None].float() / 255


def _shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for name, outputs, inputs, kernel, *_ in LAYERS:
        shapes |= {f"{name}.weight": (outputs, inputs, kernel, kernel), f"{name}.bias": (outputs,)}
    return shapes


def _random() -> dict[str, Tensor]:
    chance = torch.Generator().manual_seed(0)
    found = {}
    for name, outputs, inputs, kernel, *_ in LAYERS:
        found[f"{name}.weight"] = nn.init.kaiming_normal_(
            torch.empty(outputs, inputs, kernel, kernel), nonlinearity="relu", generator=chance
        )
        found[f"{name}.bias"] = torch.zeros(outputs)
    return found
