"""LBAM's and PConv's training: every term alone moves the generator, both codes, without VGG-16."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from test_papers import moved, snapshot, train

from inpaintlab.batch import Batch, Output
from inpaintlab.image import composite
from inpaintlab.losses.adversarial import Wasserstein, gradient_penalty
from inpaintlab.losses.feature import perceptual, style
from inpaintlab.losses.reconstruction import distance, masked_l1, total_variation
from inpaintlab.networks import lbam, pconv
from inpaintlab.networks.extractors.vgg import Vgg16
from inpaintlab.papers.lbam import LBAM
from inpaintlab.papers.pconv import PConv
from inpaintlab.training.module import InpaintingModule


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.01)


def batch() -> Batch:
    torch.manual_seed(3)
    hole = torch.zeros(2, 1, 128, 128)
    hole[0, :, 30:80, 30:90] = 1
    hole[1, :, :40, 50:] = 1
    return Batch(torch.rand(2, 3, 128, 128), hole)


def make_lbam(weights: dict[str, float], **options: Any) -> LBAM:
    torch.manual_seed(0)
    defaults: dict[str, Any] = {
        "generator": lbam.Generator(width=0.125), "discriminator": lbam.Discriminator(layers=5, width=0.125),
        "adversarial": Wasserstein(), "optimizer_g": sgd, "optimizer_d": sgd, "vgg": Vgg16("random", normalise=False),
    }  # fmt: skip
    return LBAM(loss_weights=weights, **(defaults | options))


def make_pconv(weights: dict[str, float], **options: Any) -> PConv:
    torch.manual_seed(0)
    defaults: dict[str, Any] = {"generator": pconv.Generator(width=0.125), "optimizer_g": sgd, "vgg": Vgg16("random")}
    return PConv(loss_weights=weights, **(defaults | options))


def step(module: InpaintingModule) -> InpaintingModule:
    return train(module, data=batch())


ALL = {LBAM: (*LBAM.terms, "adversarial"), PConv: PConv.terms}


@pytest.mark.parametrize(
    ("make", "term"),
    [*((make_lbam, term) for term in ALL[LBAM]), *((make_pconv, term) for term in ALL[PConv])],
)
def test_each_term_alone_moves_the_generator(make: Callable[..., InpaintingModule], term: str) -> None:
    terms = ALL[LBAM] if make is make_lbam else ALL[PConv]
    module = make({name: float(name == term) for name in terms})
    before = snapshot(module)
    step(module)
    expected = {"generator", "discriminator"} if term == "adversarial" else {"generator"}
    weights = {name: value for name, value in before.items() if "running" not in name and "num_batches" not in name}
    after = {name: value for name, value in module.state_dict().items() if name in weights}
    changed = {name.split(".")[0] for name, value in after.items() if not torch.equal(value, weights[name])}
    assert changed == expected
    assert moved(module, before) >= expected


def test_lbam_terms_of_paper_and_authors() -> None:
    data, image = batch(), torch.rand(2, 3, 128, 128)
    weights = {"l1": 1.0, "perceptual": 0.05, "style": 120.0, "adversarial": 0.1}
    output, vgg = Output(image), Vgg16("random", normalise=False)
    targets, features = vgg(data.image), vgg(image)
    composite = vgg(torch.where(data.hole > 0, image, data.image))
    paper = make_lbam(weights, vgg=vgg).generator_terms(data, output)
    torch.testing.assert_close(paper["l1"], (image - data.image).abs().mean())
    torch.testing.assert_close(paper["perceptual"], perceptual(features, targets) / 3)
    torch.testing.assert_close(paper["style"], style(features, targets))
    released = make_lbam(weights, vgg=vgg, follows="authors").generator_terms(data, output)
    expected = 6 * masked_l1(image, data.image, data.hole) + masked_l1(image, data.image, 1 - data.hole)
    torch.testing.assert_close(released["l1"], expected)
    both = perceptual(features, targets, "l1") + perceptual(composite, targets, "l1")
    torch.testing.assert_close(released["perceptual"], both)
    torch.testing.assert_close(released["style"], style(features, targets) + style(composite, targets))


def test_critic_loss_is_wgan_gp_on_the_raw_output_and_does_not_reach_the_generator() -> None:
    module, data = make_lbam({"l1": 1.0, "perceptual": 0.0, "style": 0.0, "adversarial": 0.1}, vgg=None), batch()
    module.discriminator.eval()  # type: ignore[union-attr]
    output = module(data.image, data.hole)
    torch.manual_seed(7)
    loss = module.discriminator_loss(data, output)
    torch.manual_seed(7)
    penalty = gradient_penalty(lambda image: module.judge(image, data), data.image, output.image)
    scores = module.judge(output.image, data)[0].mean() - module.judge(data.image, data)[0].mean()
    torch.testing.assert_close(loss, scores + 10 * penalty)
    loss.backward()
    assert all(parameter.grad is None for parameter in module.generator.parameters())
    torch.testing.assert_close(module.fake(data, output), output.image)


def test_activations_stay_in_their_ranges_after_every_step() -> None:
    module = make_lbam({"l1": 1.0, "perceptual": 0.0, "style": 0.0, "adversarial": 0.0}, vgg=None)
    called: list[int] = []
    module.generator.constrain = lambda: called.append(1)  # type: ignore[method-assign]
    step(module)
    assert called == [1]


def test_without_vgg_its_terms_are_not_computed() -> None:
    for make, rest in (
        (make_lbam, {"l1": 1.0, "adversarial": 0.1}),
        (make_pconv, {"valid": 1.0, "hole": 6.0, "tv": 0.1}),
    ):
        module = step(make(rest | {"perceptual": 0.0, "style": 0.0}, vgg=None))
        assert not {"train/perceptual", "train/style"} & set(module.logged)


def test_pconv_terms_by_hand() -> None:
    data, image = batch(), torch.rand(2, 3, 128, 128)
    terms = make_pconv(dict.fromkeys(PConv.terms, 1.0)).generator_terms(data, Output(image))
    torch.testing.assert_close(terms["hole"] + terms["valid"], distance(image, data.image, "l1"))
    same = make_pconv(dict.fromkeys(PConv.terms, 1.0)).generator_terms(data, Output(data.image))
    assert same["hole"] == same["valid"] == same["perceptual"] == same["style"] == 0
    assert same["tv"] > 0


@pytest.mark.parametrize("build", [lbam.Generator, pconv.Generator])
def test_each_loss_alone_reaches_the_first_and_the_last_weights(build: Callable[..., torch.nn.Module]) -> None:
    torch.manual_seed(0)
    generator, critic, vgg = build(width=0.125), lbam.Discriminator(width=0.125), Vgg16("random")
    image, hole = torch.rand(1, 3, 256, 256), torch.zeros(1, 1, 256, 256)
    hole[..., 60:190, 80:200] = 1
    output = generator(image, hole).image
    filled = composite(image, output, hole)
    with torch.no_grad():
        targets = vgg(image)
    features, features_filled = vgg(output), vgg(filled)
    terms = {
        "l1": distance(output, image, "l1"),
        "hole": masked_l1(output, image, hole),
        "valid": masked_l1(output, image, 1 - hole),
        "perceptual": perceptual(features, targets),
        "perceptual, l1, composite": perceptual(features_filled, targets, "l1"),
        "style": style(features, targets),
        "style, literal": style(features, targets, "literal"),
        "style, composite": style(features_filled, targets),
        "tv": total_variation(filled, hole),
        "adversarial": Wasserstein().generator([critic(output, hole)]),
        "adversarial, released": Wasserstein("authors").generator([critic(output, hole)]),
    }
    weights = [p for p in generator.parameters() if p.dim() == 4]
    for name, term in terms.items():
        assert torch.isfinite(term), name
        gradients = torch.autograd.grad(term, weights, retain_graph=True)
        assert all(torch.isfinite(g).all() for g in gradients), name
        assert gradients[0].abs().sum() > 0, name
        assert gradients[-1].abs().sum() > 0, name
