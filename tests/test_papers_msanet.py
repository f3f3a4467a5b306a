"""MSA-Net's training: every term alone moves the generator, targets from a second pass, options."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_papers import batch, moved, sgd, snapshot, train

from inpaintlab.batch import Batch
from inpaintlab.losses.reconstruction import distance
from inpaintlab.networks.msanet import Generator
from inpaintlab.papers.msanet import MSANet


def msanet(weights: dict[str, float], **options: Any) -> MSANet:
    torch.manual_seed(0)
    return MSANet(generator=Generator(width=0.25), loss_weights=weights, optimizer_g=sgd, **options)


@pytest.mark.parametrize("term", MSANet.terms)
def test_each_term_of_msanet_alone_moves_the_generator(term: str) -> None:
    module = msanet({name: float(name == term) for name in MSANet.terms})
    before = snapshot(module)
    train(module)
    assert moved(module, before) == {"generator"}
    assert module.logged["train/feature_rms"] > 0


def test_msanet_compares_with_the_features_of_the_original_and_trains_through_both_passes() -> None:
    module, data = msanet({"l2": 1.0, "perceptual": 1.0, "style": 1.0}), batch()
    output = module(data.image, data.hole)
    target = module(data.image, torch.zeros_like(data.hole))
    terms = module.generator_terms(data, output)
    expected = sum(distance(f, t) for f, t in zip(output.features[:3], target.features[:3], strict=True))
    torch.testing.assert_close(terms["perceptual"], expected)
    torch.testing.assert_close(terms["l2"], (output.image - data.image).square().mean())
    both = torch.autograd.grad(terms["perceptual"], module.generator.downs[0][0].weight, retain_graph=True)[0]
    detached = sum(distance(f, t.detach()) for f, t in zip(output.features[:3], target.features[:3], strict=True))
    one = torch.autograd.grad(detached, module.generator.downs[0][0].weight)[0]
    assert not torch.allclose(both, one)


def test_without_a_hole_the_feature_terms_vanish() -> None:
    module, data = msanet({"l2": 1.0, "perceptual": 1.0, "style": 1.0}, layers=4), batch()
    data = Batch(data.image, torch.zeros_like(data.hole))
    terms = module.generator_terms(data, module(data.image, data.hole))
    assert terms["perceptual"] == terms["style"] == 0
    assert terms["l2"] > 0


def test_msanet_options_name_the_known_ones() -> None:
    weights = {"l2": 1.0, "perceptual": 1.0, "style": 1.0}
    for options, message in (
        ({"norm": "l1"}, "mse, literal"),
        ({"l2_on": "hole"}, "raw, composite"),
        ({"layers": 5}, "1 to 4"),
    ):
        with pytest.raises(ValueError, match=message):
            msanet(weights, **options)
    composite = msanet(weights, l2_on="composite")
    output = composite(batch().image, batch().hole)
    whole = msanet(weights).generator_terms(batch(), output)["l2"]
    assert composite.generator_terms(batch(), output)["l2"] < whole
