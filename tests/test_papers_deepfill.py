"""DeepFill v1 and GConv: loss terms by hand, every term alone trains, and whole steps of both systems."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_papers import moved, sgd, snapshot, train

from inpaintlab.batch import Batch, Output
from inpaintlab.losses.adversarial import Hinge, Wasserstein
from inpaintlab.losses.reconstruction import discount
from inpaintlab.networks import deepfill_v1 as deepfill_network
from inpaintlab.networks import gconv as gconv_network
from inpaintlab.networks.deepfill_v1_critics import Critics
from inpaintlab.networks.sn_patch_gan import Discriminator
from inpaintlab.papers.deepfill_v1 import DeepFillV1
from inpaintlab.papers.gconv import GConv


def batch() -> Batch:
    torch.manual_seed(3)
    hole = torch.zeros(2, 1, 64, 64)
    hole[0, :, 6:30, 8:36], hole[1, :, 20:52, 30:62] = 1, 1
    return Batch(torch.rand(2, 3, 64, 64), hole, ("a", "b"))


def deepfill(weights: dict[str, float] | None = None, **options: Any) -> DeepFillV1:
    torch.manual_seed(0)
    defaults = {
        "generator": deepfill_network.Generator(width=0.125),
        "discriminator": Critics(size=64, local_size=32, width=0.125),
        "adversarial": Wasserstein(),
        "loss_weights": weights or {"l1": 1.2, "ae": 1.2, "adversarial": 0.001},
        "optimizer_g": sgd,
        "optimizer_d": sgd,
        "local_size": 32,
    }
    return DeepFillV1(**(defaults | options))


def gconv(weights: dict[str, float] | None = None, **options: Any) -> GConv:
    torch.manual_seed(0)
    defaults = {
        "generator": gconv_network.Generator(width=0.25),
        "discriminator": Discriminator(width=0.125),
        "adversarial": Hinge(half=True),
        "loss_weights": weights or {"l1": 1.0, "adversarial": 1.0},
        "optimizer_g": sgd,
        "optimizer_d": sgd,
    }
    return GConv(**(defaults | options))


@pytest.mark.parametrize("build", [deepfill, gconv])
def test_each_term_alone_reaches_every_weight_of_the_generator(build: Any) -> None:
    for term in build().loss_weights:
        module = build({name: float(name == term) for name in build().loss_weights})
        train(module, data=batch())
        # The stages are not separated: what judges the refinement alone reaches the coarse network as well. Gradients
        # and not steps are looked at, since a gated network's features begin too small for a step to be seen.
        still = [name for name, p in module.generator.named_parameters() if p.grad is None or not p.grad.any()]
        assert not still, (term, still)


@pytest.mark.parametrize("build", [deepfill, gconv])
def test_the_discriminator_trains_and_reports(build: Any) -> None:
    module = build(generator_every=6, take_turns=True)
    before = snapshot(module)
    assert moved(train(module, 5, batch()), before) == {"discriminator"}
    assert "train/discriminator" in module.logged
    assert ("train/gradient_penalty" in module.logged) == (build is deepfill)


# ---------------------------------------------------------------------- DeepFill v1
def stages(data: Batch) -> Output:
    """The coarse stage is off by 0.1 everywhere, the refinement by 0.2 in the hole and by 0.3 outside."""
    return Output(data.image - 0.2 * data.hole - 0.3 * (1 - data.hole), coarse=data.image + 0.1)


def test_terms_of_the_authors_by_hand() -> None:
    data = batch()
    terms = deepfill().generator_terms(data, stages(data))
    known = (1 - data.hole).mean()
    torch.testing.assert_close(terms["ae"], torch.tensor(2 * (1.2 * 0.1 + 0.3)))  # the mean over the known pixels
    weights = discount(32, 32, 0.9)[0, 0]
    # Boxes begin at (2, 6) and (20, 30); the second hole fills its box.
    inside = torch.stack([data.hole[0, 0, 2:34, 6:38], data.hole[1, 0, 20:52, 30:62]])
    assert inside.sum() == data.hole.sum()
    refined = ((0.2 * inside + 0.3 * (1 - inside)) * weights).mean()
    torch.testing.assert_close(terms["l1"], 2 * (1.2 * 0.1 * weights.mean() + refined))

    port = deepfill(follows="port").generator_terms(data, stages(data))
    torch.testing.assert_close(port["ae"], terms["ae"] * known)
    torch.testing.assert_close(port["l1"], 2 * ((1.2 * 0.1 + 0.2) * inside * weights).mean())


def test_known_pixels_count_in_the_penalty_of_the_port_only() -> None:
    data, penalties = batch(), {}
    for follows in ("authors", "port"):
        module = deepfill(follows=follows)
        output = module(data.image, data.hole)
        alphas = [torch.tensor([0.3, 0.6])] * 2
        no_hole = Batch(data.image, torch.zeros_like(data.hole))
        penalties[follows] = [module.penalty(b, output, alphas).item() for b in (data, no_hole)]
    assert penalties["authors"][1] == 2  # no gradient counts, so that each critic's length is 0
    assert penalties["port"][1] != 2
    assert penalties["authors"][0] != penalties["port"][0]


def test_the_critics_loss_is_the_wasserstein_distance_plus_the_penalty() -> None:
    data, module = batch(), deepfill(gp_weight=3.0)
    output = module(data.image, data.hole)
    torch.manual_seed(5)
    loss = module.discriminator_loss(data, output)
    torch.manual_seed(5)
    penalty = module.penalty(data, output)
    fake, real = (module.discriminator(x, data.hole) for x in (module.composite(data, output), data.image))
    distances = [f.mean() - r.mean() for f, r in zip(fake, real, strict=True)]
    torch.testing.assert_close(loss, distances[0] + distances[1] + 3 * penalty)


def test_options_name_the_known_ones() -> None:
    with pytest.raises(ValueError, match="follows must be one of authors, port"):
        deepfill(follows="mmagic")
    with pytest.raises(ValueError, match="local_size must be that of the critics, 32; got 16"):
        deepfill(local_size=16)
    with pytest.raises(ValueError, match="follows must be one of authors, mmagic"):
        gconv(follows="port")


# ---------------------------------------------------------------------- GConv
def test_l1_of_both_variants_by_hand() -> None:
    data = batch()
    share = data.hole.mean()
    authors = gconv().generator_terms(data, stages(data))["l1"]
    torch.testing.assert_close(authors, 2 * (0.1 + 0.2 * share + 0.3 * (1 - share)))
    mmagic = gconv(follows="mmagic")
    torch.testing.assert_close(mmagic.generator_terms(data, stages(data))["l1"], torch.tensor(2 * (0.2 + 0.2 + 0.3)))
    no_hole = Batch(data.image, torch.zeros_like(data.hole))
    assert torch.isfinite(mmagic.generator_terms(no_hole, stages(no_hole))["l1"])
