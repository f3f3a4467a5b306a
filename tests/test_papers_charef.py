"""Charef & Ouqour: loss terms by hand, every term alone trains, the network's options."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_papers import sgd, train
from test_papers_deepfill import batch, gconv, stages

from inpaintlab.batch import Output
from inpaintlab.losses.adversarial import Hinge
from inpaintlab.networks import charef as network
from inpaintlab.networks.extractors.vgg import Vgg16
from inpaintlab.networks.sn_patch_gan import Discriminator
from inpaintlab.papers.charef import Charef

OFF = {"l1": 0.0, "perceptual": 0.0, "style": 0.0, "adversarial": 0.0}


def charef(weights: dict[str, float] | None = None, **options: Any) -> Charef:
    torch.manual_seed(0)
    defaults = {
        "generator": network.Generator(width=0.25, initial="preserving"),
        "discriminator": Discriminator(width=0.125),
        "adversarial": Hinge(half=True),
        "loss_weights": OFF | (weights or {"l1": 1.0, "adversarial": 1.0}),
        "optimizer_g": sgd,
        "optimizer_d": sgd,
    }
    return Charef(**(defaults | options))


@pytest.mark.parametrize("term", OFF)
def test_each_term_alone_reaches_every_weight_of_the_generator(term: str) -> None:
    module = charef({term: 1.0}, vgg=Vgg16("random"))
    train(module, data=batch())
    still = [name for name, p in module.generator.named_parameters() if p.grad is None or not p.grad.any()]
    # alpha N h with alpha from a convolution that starts at 0: its bias cancels in the softmax, for good.
    assert [name for name in still if not (".gates." in name and name.endswith("bias"))] == []


def test_l1_by_hand_is_gconvs_and_may_weigh_the_hole() -> None:
    data = batch()
    share, output = data.hole.mean(), stages(batch())
    plain = charef().generator_terms(data, output)["l1"]
    torch.testing.assert_close(plain, gconv().generator_terms(data, output)["l1"])
    weighed = charef(hole_weight=6.0).generator_terms(data, output)["l1"]
    torch.testing.assert_close(weighed, 2 * ((0.1 + 0.2) * 6 * share + (0.1 + 0.3) * (1 - share)))
    coarse_only = charef().generator_terms(data, Output(data.image + 0.1))["l1"]
    torch.testing.assert_close(coarse_only, torch.tensor(0.2))


def test_without_vgg_there_is_l1_alone() -> None:
    assert set(charef().generator_terms(batch(), stages(batch()))) == {"l1"}
    with pytest.raises(ValueError, match="hole_weight must be greater than 0, got 0"):
        charef(hole_weight=0)
