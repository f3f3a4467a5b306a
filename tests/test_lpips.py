"""LPIPS against torchmetrics' own network with the same weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from torchmetrics.functional.image.lpips import _LPIPS

from inpaintlab.checkpoints import pretrained_files
from inpaintlab.errors import UserError
from inpaintlab.metrics import lpips
from inpaintlab.networks.extractors.inception import Inception, InceptionOfTorchvision
from inpaintlab.networks.extractors.vgg import Vgg16

PLACES = {"features.0": "slice1.0", "features.3": "slice2.3", "features.6": "slice3.6",
          "features.8": "slice4.8", "features.10": "slice5.10"}  # fmt: skip


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    """AlexNet's entries, untrained but not those of "random"."""
    torch.manual_seed(1)
    found = {name: value + 0.01 * torch.randn(value.shape) for name, value in lpips._random().items()}
    return found | {"classifier.6.bias": torch.zeros(1000)}


def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    truth = torch.from_numpy(data.astronaut()[:96, 60:220].copy()).permute(2, 0, 1)[None].float() / 255
    result = truth.clone()
    result[..., 20:60, 40:90] = 128 / 255
    return result, truth


def test_it_equals_torchmetrics(state: dict[str, torch.Tensor]) -> None:
    theirs = _LPIPS(pnet_rand=True, net="alex")
    entries = theirs.net.state_dict()
    for ours, place in PLACES.items():
        for kind in ("weight", "bias"):
            assert entries[f"{place}.{kind}"].shape == state[f"{ours}.{kind}"].shape
            entries[f"{place}.{kind}"] = state[f"{ours}.{kind}"]
    theirs.net.load_state_dict(entries)
    result, truth = pictures()
    network = lpips.Lpips(state, "mine")
    with torch.no_grad():
        expected = theirs(torch.cat([result, truth]), torch.cat([truth, truth]), normalize=True).flatten()
    found = network(torch.cat([result, truth]), torch.cat([truth, truth]))
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-5, abs=1e-7)
    assert found[0] > 0.01
    assert found[1] == 0
    assert not list(network.parameters())


def test_a_column_measures_one_picture(state: dict[str, torch.Tensor]) -> None:
    network = lpips.Lpips(state)
    result, truth = ((picture[0].permute(1, 2, 0) * 255).round().byte().numpy() for picture in pictures())
    column = lpips.column(network)
    assert column.compute(result, truth) == pytest.approx(float(network(*pictures())), rel=1e-4)
    assert not column.higher_is_better
    assert column.is_mean
    with pytest.raises(UserError, match="at least 32x32 pixels, got"):
        column.compute(np.zeros((31, 40, 3), np.uint8), np.zeros((31, 40, 3), np.uint8))


def test_weights_are_read_checked_and_named(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / "alex.pth"
    torch.save(state, path)
    network = pretrained_files.lpips(str(path))
    assert network.origin.startswith("alex.pth, SHA-256 ")
    assert not network.untrained
    assert pretrained_files.lpips("random").origin == "untrained (random weights)"
    result, truth = pictures()
    assert pretrained_files.lpips("random")(result, truth) == pretrained_files.lpips("random")(result, truth)
    del state["features.8.bias"]
    torch.save(state, path)
    with pytest.raises(
        UserError, match="not torchvision's weights of AlexNet; 1 of 10 entries are missing: features.8.bias"
    ):
        pretrained_files.lpips(str(path))
    assert "needed for LPIPS" in pretrained_files.missing("alexnet", None)


def test_untrained_weights_must_be_asked_for() -> None:
    """A path in the place of a state dict is refused, not taken for random weights."""
    for network in (lpips.Lpips, Inception, InceptionOfTorchvision, Vgg16):
        with pytest.raises(ValueError, match="weights must be a state dict, or 'random' .* got 'alex.pth'"):
            network("alex.pth")
