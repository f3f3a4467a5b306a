"""Inception v3 for FID: 2048 features of 8-bit pictures of any size. The caller passes the weights.

`Inception` is torch-fidelity's conversion of the network of 2015 with which Heusel et al. (2017) defined FID. It
resizes pictures to 299x299 as TensorFlow 1 did (bilinear, corners not aligned, no antialiasing).
`InceptionOfTorchvision` has the weights that torchvision trained; EdgeConnect's released script and papers that use it
report FIDs of this network. FIDs of the two networks are not comparable.
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
    """Frozen feature extractor.

    Args:
        weights: torch-fidelity's state dict, or "random" for fixed untrained weights.
        origin: source of the weights, for the record of an evaluation.

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
        """Return features (N, 2048) of 8-bit RGB pictures (N, 3, H, W)."""
        (features,) = self.network(pictures)
        return features


class InceptionOfTorchvision(nn.Module):
    """Frozen feature extractor as in EdgeConnect's script.

    The script passes pictures in [0, 1] through torchvision's `transform_input`, which expects pictures standardised
    for ImageNet. This is reproduced here because the published numbers depend on it.

    Arguments and errors are those of `Inception`, with torchvision's state dict.
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
        """Return features (N, 2048) of 8-bit RGB pictures (N, 3, H, W)."""
        features: Tensor = self.network(F.interpolate(pictures.float() / 255, (299, 299), mode="bilinear"))
        return features


class _Unfilled(FeatureExtractorInceptionV3):  # type: ignore[misc]
    """The network of torch_fidelity, without the weights that its constructor would read or download."""

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
    # Files from before 2018 have no batch norm counters, which torch accepts.
    shapes = {k: tuple(v.shape) for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    require_entries(weights, shapes, f"{whose} weights of Inception v3")
    try:
        network.load_state_dict(weights)
    except RuntimeError:
        raise UserError(
            f"these are not {whose} weights of Inception v3: they have entries that the network lacks"
        ) from None


def _initialise(network: nn.Module) -> None:
    chance = torch.Generator().manual_seed(0)
    for weight in network.parameters():
        if weight.dim() == 4:  # He initialisation: features keep their size through the ReLUs
            nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=chance)
