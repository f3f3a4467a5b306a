"""VGG-16: the architecture of torchvision, frozen, with the caller's weights only."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from inpaintlab.errors import UserError
from inpaintlab.layers.imagenet_scale import ImagenetScale
from inpaintlab.networks.extractors.vgg import Vgg16, layer_names


def features_only() -> nn.Module:
    """torchvision's network without its classifier, whose random weights alone take seconds."""
    torch.manual_seed(0)
    return nn.Sequential(make_layers(cfgs["D"]))


def weights_of(network: nn.Module) -> dict[str, torch.Tensor]:
    return {f"features.{name.split('.', 1)[1]}": value for name, value in network.state_dict().items()}


def test_features_equal_those_of_torchvision() -> None:
    theirs = features_only()
    image = torch.rand(2, 3, 64, 48)
    names = ("relu1_2", "pool1", "pool2", "relu3_3", "pool3", "relu5_1")
    stops = (3, 4, 9, 15, 16, 25)
    for normalise in (True, False):
        ours = Vgg16(weights_of(theirs), layers=names, normalise=normalise)
        x, expected = ImagenetScale()(image) if normalise else image, []
        with torch.no_grad():
            for i, module in enumerate(theirs[0]):
                x = module(x)
                if i in stops:
                    expected.append(x.clone())  # the next ReLU works in place
        for a, b in zip(ours(image), expected, strict=True):
            torch.testing.assert_close(a, b)


def test_it_is_in_no_optimiser_and_no_checkpoint_but_passes_gradients() -> None:
    network = Vgg16("random")
    assert list(network.parameters()) == []
    assert network.state_dict() == {}
    assert len(list(network.buffers())) == 2 * 7 + 2  # seven convolutions up to pool3, and the colour scale
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    features = network(image)
    assert [tuple(f.shape) for f in features] == [(1, 64, 16, 16), (1, 128, 8, 8), (1, 256, 4, 4)]
    sum(f.square().mean() for f in features).backward()
    assert image.grad.abs().sum() > 0
    for a, b in zip(features, Vgg16("random")(image), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_wrong_weights_and_names_are_refused() -> None:
    weights = {f"features.{i}.weight": torch.zeros(1) for i in (0, 2)}
    with pytest.raises(
        UserError, match=r"missing: features.5.weight.*other shape: features.0.weight \(1,\) for \(64, 3"
    ):
        Vgg16(weights)
    with pytest.raises(ValueError, match="got 'pretrained'"):
        Vgg16("pretrained")
    with pytest.raises(ValueError, match="layers must be one or more of relu1_1"):
        Vgg16("random", layers=["conv1"])
    assert len(layer_names()) == 13 + 5
