"""Every paper with terms on VGG-16's features: what it demands without VGG-16, and what its results must say."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import pytest
import torch
from hydra.utils import instantiate

import inpaintlab.papers
from inpaintlab.config.compose import compose_config, group_options
from inpaintlab.networks.extractors.vgg import Vgg16
from inpaintlab.training.module import InpaintingModule
from inpaintlab.training.vgg_module import VggModule

PAPERS: dict[str, type[InpaintingModule]] = {
    name: system
    for name in (module.name for module in pkgutil.iter_modules(inpaintlab.papers.__path__))
    for system in vars(importlib.import_module(f"inpaintlab.papers.{name}")).values()
    if isinstance(system, type) and system.__module__ == f"inpaintlab.papers.{name}"
}
WITH_VGG = [name for name, system in PAPERS.items() if issubclass(system, VggModule)]


def config_of(system: str) -> Any:
    """The system at demo scale, which has no VGG-16."""
    experiment = next(name for name in group_options("experiment") if name.startswith(f"{system}_"))
    config = compose_config([f"experiment={experiment}", "scale=demo", "weights.vgg16=random"])
    assert config.model._target_ == f"inpaintlab.papers.{system}.{PAPERS[system].__name__}"
    return config.model


def build(model: Any, **parts: Any) -> VggModule:
    module = instantiate(model, _convert_="all", **parts)
    assert isinstance(module, VggModule)
    return module


def test_papers_with_a_vgg_in_their_config_share_the_contract() -> None:
    assert [name for name in PAPERS if "vgg" in config_of(name)] == WITH_VGG
    assert len(WITH_VGG) >= 4


@pytest.mark.parametrize("name", WITH_VGG)
def test_vgg_is_needed_by_weighed_terms_and_its_absence_is_a_remark(name: str) -> None:
    model = config_of(name)
    terms = PAPERS[name].vgg_terms  # type: ignore[attr-defined]
    assert terms
    assert set(terms) <= set(PAPERS[name].terms)

    assert model.vgg is None
    (remark,) = build(model).remarks()
    assert remark.startswith("trained without VGG-16: the ")
    assert all(term in remark for term in terms)

    extractor = Vgg16("random", layers=("pool3", "relu4_3"))
    with_random = build(model, vgg=extractor)
    assert with_random.remarks() == ["trained with an untrained VGG-16 (random weights)"]
    assert not any("vgg" in key for key in with_random.state_dict())
    assert not any("vgg" in key for key, _ in with_random.named_parameters())
    assert with_random.vgg is not None
    with_random.vgg.untrained = False
    assert with_random.remarks() == []

    for term in terms:
        weighed = model.copy()
        weighed.loss_weights[term] = 0.5
        with pytest.raises(Exception, match=f"loss weights {term}=0.5 need VGG-16, but vgg is null") as raised:
            build(weighed)
        assert isinstance(raised.value.__cause__ or raised.value, ValueError)


def test_features_of_the_truth_carry_no_gradient_and_pictures_go_through_at_once() -> None:
    module = build(config_of("pconv"), vgg=Vgg16("random", layers=("relu1_1", "pool1")))
    assert module.vgg is not None
    truth, a, b = (torch.rand(2, 3, 16, 16, requires_grad=True) for _ in range(3))
    calls: list[int] = []
    module.vgg.register_forward_hook(lambda _m, inputs, _o: calls.append(len(inputs[0])))
    targets, features = module.vgg_features(truth, [a, b])
    assert calls == [2, 4]
    assert not any(target.requires_grad for target in targets)
    for picture, of in zip((a, b), features, strict=True):
        for actual, expected in zip(of, module.vgg(picture), strict=True):
            torch.testing.assert_close(actual, expected)
            assert actual.requires_grad
