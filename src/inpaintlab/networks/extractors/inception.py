"""Inception v3 as FID uses it: 2048 features of 8-bit pictures of any size. The caller brings the weights.

`Inception` is torch-fidelity's conversion of the network of 2015 with which Heusel et al. (2017) defined FID; pictures
are resized to 299x299 as TensorFlow 1 did (bilinear, corners not aligned, no smoothing). `InceptionOfTorchvision` is
the other one, trained by torchvision, of EdgeConnect's released script and of papers that use it: its FIDs lie on
another scale.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3  # type: ignore[import-untyped]

from inpaintlab.errors import UserError
from inpaintlab.networks.extractors.weight_checks import UNTRAINED, require_entries, require_random


class Inception(nn.Module):
    """Features of pictures, frozen.

    Args:
        weights: torch-fidelity's state dict, or "random" for untrained weights, always the same ones.
        origin: where the weights are from, for the record.

    Raises:
        UserError: if an entry of the weights is missing or of another shape.
    """

    def __init__(self, weights: Mapping[str, Tensor] | str, origin: str = "") -> None:
        super().__init__()
        self.untrained = isinstance(weights, str)
        self.origin = UNTRAINED if self.untrained else origin
        self.network = _Unfilled()
        _fill(self.network, weights, "torch-fidelity's")

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        """Features (N, 2048) of 8-bit RGB pictures (N, 3, H, W)."""
        (features,) = self.network(pictures)
        return features


class InceptionOfTorchvision(nn.Module):
    """The features as EdgeConnect's script takes them, frozen.

    The script gives pictures in [0, 1] to torchvision's own change of the colours' scale, which expects them
    standardised as for ImageNet. This is kept: the published numbers were made so.

    Args, errors: as of `Inception`, with torchvision's state dict.
    """

    def __init__(self, weights: Mapping[str, Tensor] | str, origin: str = "") -> None:
        super().__init__()
        self.untrained = isinstance(weights, str)
        self.origin = UNTRAINED if self.untrained else origin
        self.network = torchvision.models.inception_v3(weights=None, init_weights=False, transform_input=True)
        _fill(self.network, weights, "torchvision's")
        self.network.fc = nn.Identity()
        self.network.AuxLogits = None
        self.network.requires_grad_(False).eval()

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        """Features (N, 2048) of 8-bit RGB pictures (N, 3, H, W)."""
        features: Tensor = self.network(F.interpolate(pictures.float() / 255, (299, 299), mode="bilinear"))
        return features


class _Unfilled(FeatureExtractorInceptionV3):  # type: ignore[misc]
    """The package's class reads its file, or downloads one, while it is built; this one leaves that to the caller."""

    def __init__(self) -> None:
        nothing = io.BytesIO()
        torch.save({}, nothing)
        nothing.seek(0)
        super().__init__("inception-v3-compat", ["2048"], feature_extractor_weights_path=nothing)

    def load_state_dict(self, state: Mapping[str, Tensor], *options: Any, **named: Any) -> Any:
        return super().load_state_dict(state, *options, **named) if state else None


def _fill(network: nn.Module, weights: Mapping[str, Tensor] | str, whose: str) -> None:
    if isinstance(weights, str):
        require_random(weights)
        _initialise(network)
        return
    # Files from before 2018 lack the counters of batch norm, and torch accepts that.
    shapes = {k: tuple(v.shape) for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    require_entries(weights, shapes, f"{whose} weights of Inception v3")
    try:
        network.load_state_dict(weights)
    except RuntimeError:
        raise UserError(
            f"these are not {whose} weights of Inception v3: there are entries that it does not have"
        ) from None


def _initialise(network: nn.Module) -> None:
    chance = torch.Generator().manual_seed(0)
    for weight in network.parameters():
        if weight.dim() == 4:  # He: features keep their size through the ReLUs
            nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=chance)
