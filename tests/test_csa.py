"""CSA: networks of all options, what they see of the hole, training terms that really train, profiles, weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_papers import moved, snapshot, train
from torch import Tensor

from inpaintlab.batch import Batch, Output
from inpaintlab.checkpoints.authors import from_released
from inpaintlab.errors import UserError
from inpaintlab.layers.coherent import CoherentAttention
from inpaintlab.losses.adversarial import RelativisticLeastSquares
from inpaintlab.losses.feature import consistency
from inpaintlab.networks import csa
from inpaintlab.networks.csa import Generator
from inpaintlab.networks.csa_critics import ConventionalFeatureDiscriminator, Discriminator, FeaturePatchDiscriminator
from inpaintlab.networks.csa_stages import Refinement, Rough
from inpaintlab.networks.extractors.vgg import Vgg16
from inpaintlab.papers.csa import CSA

WEIGHTS = {"l1": 1.0, "consistency": 0.01, "adversarial": 0.002}


def small(**options: Any) -> Generator:
    torch.manual_seed(0)
    return Generator(**({"levels": 5, "width": 0.125} | options))


def batch(side: int = 64) -> Batch:
    torch.manual_seed(3)
    hole = torch.zeros(2, 1, side, side)
    hole[0, :, 16:48, 16:48] = 1
    hole[1, :, :40, 30:] = 1
    return Batch(torch.rand(2, 3, side, side), hole)


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1)


def module(
    weights: dict[str, float] | None = None, layers: tuple[str, ...] = ("pool3", "relu4_3"), **options: Any
) -> CSA:
    """At full width, which the comparison with VGG's features needs, but few levels."""
    torch.manual_seed(0)
    defaults: dict[str, Any] = {
        "generator": Generator(levels=4), "vgg": Vgg16("random", layers=layers), "optimizer_g": sgd,
        "discriminator": Discriminator(width=0.125), "adversarial": RelativisticLeastSquares(), "optimizer_d": sgd,
    }  # fmt: skip
    return CSA(loss_weights=weights or WEIGHTS, **(defaults | options))


@pytest.fixture(scope="module")
def full() -> CSA:
    return module()


# ---------------------------------------------------------------------- networks
def test_the_full_model_has_the_released_number_of_parameters() -> None:
    with torch.device("meta"):
        rough, refinement = Rough(), Refinement(lambda maps: CoherentAttention())
        critics = Discriminator()
    assert sum(p.numel() for p in rough.parameters()) == 54_419_459
    assert sum(p.numel() for p in refinement.parameters()) == 77_692_291
    assert sum(p.numel() for p in critics.patch.parameters()) == 2_766_529
    assert critics.feature is not None
    assert sum(p.numel() for p in critics.feature.parameters()) == 10_487_296


@pytest.mark.parametrize("attention", csa.ATTENTIONS)
@pytest.mark.parametrize(("position", "side", "maps"), [(64, 16, 32), (32, 8, 64), (16, 4, 64)])
def test_taps_lie_where_the_attention_is(attention: str, position: int, side: int, maps: int) -> None:
    data = batch()
    output = small(attention=attention, attention_position=position)(data.image, data.hole)
    assert [tuple(f.shape) for f in output.features] == [(2, maps, side, side)] * 2
    assert output.image.shape == data.image.shape


def test_levels_and_sides() -> None:
    network = small(levels=6)
    assert network.multiple == 64
    assert network(torch.rand(1, 3, 64, 128), torch.zeros(1, 1, 64, 128)).image.shape == (1, 3, 64, 128)
    with pytest.raises(ValueError, match="csa: height and width must be multiples of 64, got"):
        network(torch.rand(1, 3, 64, 96), torch.zeros(1, 1, 64, 96))
    for levels in (3, 9):
        with pytest.raises(ValueError, match=f"levels must be 4 to 8 for attention at 32, got {levels}"):
            Generator(levels=levels)
    for option, known in (("attention", "csa, contextual, conv, none"), ("second_input", "colour, grey, null")):
        with pytest.raises(ValueError, match=f"{option} must be one of {known}; got 'x'"):
            Generator(**{option: "x"})
    with pytest.raises(ValueError, match="attention_position must be one of 64, 32, 16"):
        Generator(attention_position=8)


def test_follows_decides_what_is_not_set() -> None:
    def choices(**options: str) -> tuple[str, str, str]:
        network = small(**options)
        layer = network.refinement.attention
        assert isinstance(layer, CoherentAttention)
        return layer.rules.similarity, layer.gradient, network.second_input

    assert choices() == choices(follows="paper") == ("cosine", "exact", "colour")
    assert choices(follows="authors") == ("inner_product", "truncated", "grey")
    assert choices(follows="authors", similarity="cosine") == ("cosine", "truncated", "grey")
    assert choices(follows="authors", gradient="exact") == ("inner_product", "exact", "grey")
    assert choices(follows="paper", second_input="grey") == ("cosine", "exact", "grey")


def test_weights_begin_as_released() -> None:
    network = small(width=0.5)
    weight = network.refinement.encoder[2][4].weight
    assert abs(weight.std().item() - 0.02) < 1e-3
    assert (network.rough.decoder[0][1].bias == 0).all()
    assert (network.refinement.norms[0].weight == 1).all()


def test_second_stage_sees_the_rough_result_in_the_hole_and_the_emptied_picture() -> None:
    data = batch()
    for option, expected in (("colour", torch.tensor(csa.COLOUR) / 127.5 - 1), ("grey", torch.zeros(3))):
        network, seen = small(second_input=option), []
        network.refinement.first.register_forward_hook(lambda m, inputs, out, seen=seen: seen.append(inputs[0]))
        output = network(data.image, data.hole)
        joined, emptied = seen[0].split(3, 1)
        hole = data.hole > 0
        assert output.coarse is not None
        torch.testing.assert_close(joined, torch.where(hole, 2 * output.coarse - 1, 2 * data.image - 1))
        torch.testing.assert_close(emptied, torch.where(hole, expected.view(1, 3, 1, 1), 2 * data.image - 1))


@pytest.mark.parametrize("joint", [False, True])
def test_the_refinements_gradient_reaches_the_rough_network_only_if_joint(joint: bool) -> None:
    network, data = small(joint=joint), batch()
    network(data.image, data.hole).image.sum().backward()
    assert all((weight.grad is not None) == joint for weight in network.rough.parameters())


@pytest.mark.parametrize("attention", ["csa", "contextual"])
def test_attention_touches_the_hole_only(attention: str) -> None:
    network, data = small(attention=attention), batch()
    seen: list[tuple[Tensor, Tensor, Tensor]] = []
    network.refinement.attention.register_forward_hook(lambda m, inputs, out: seen.append((*inputs, out)))
    network(data.image, data.hole)
    before, hole, after = seen[0]
    assert torch.equal(hole, network.feature_hole(data.hole))
    known = (hole == 0).expand_as(before)
    assert torch.equal(before[known], after[known])
    assert not torch.equal(before, after)


def test_kept_attention() -> None:
    data = batch()
    for attention in ("csa", "contextual"):
        network = small(attention=attention)
        assert network(data.image, data.hole).attention == {}
        network.keep_attention = True
        assert set(network(data.image, data.hole).attention) == {"flow"}
        network.points = ((0.5, 0.5), (0.4, 0.5))
        maps = network(data.image, data.hole).attention
        side = 8 if attention == "csa" else 4  # contextual attention compares at half the resolution
        assert maps["flow"].shape == maps["heat"].shape == (2, 2, side, side)
        if attention == "csa":
            torch.testing.assert_close(maps["heat"].sum((2, 3)), torch.ones(2, 2))
    network = small(attention="conv")
    network.keep_attention = True
    assert network(data.image, data.hole).attention == {}


def test_released_weights_come_as_one_state_dict_of_both_networks() -> None:
    with torch.device("meta"):
        ours = Generator()
    names = [csa.authors_name(name) for name in ours.state_dict()]
    weights = {name: torch.zeros(1) for name in names}
    rough = {name[2:]: weight for name, weight in weights.items() if name.startswith("P.")}
    refinement = {name[2:]: weight for name, weight in weights.items() if name.startswith("G.")}
    assert csa.merge_released(rough, refinement) == weights
    assert "model.model.1.model.6.model.6.model.14.weight" in refinement
    with pytest.raises(UserError, match=r"the weights in the given state dict do not fit .*missing: G\.model"):
        from_released("csa", csa.merge_released(rough, {}), levels=5, width=0.125)


# ---------------------------------------------------------------------- discriminators
def test_discriminators_of_figure_11() -> None:
    image, features = torch.rand(2, 3, 256, 256), torch.rand(2, 256, 32, 32)
    sizes = {"patch": (2, 512, 14, 14), "conventional": (2, 1)}
    for kind, size in sizes.items():
        scores = Discriminator(feature=kind, width=0.0625)(image, features)
        assert [tuple(s.shape) for s in scores] == [(2, 1, 30, 30), size]
    assert len(Discriminator(feature=None, width=0.0625)(image)) == 1
    assert FeaturePatchDiscriminator(strides=(2, 2, 2))(features).shape == (2, 512, 4, 4)
    with pytest.raises(
        ValueError, match=r"features of 32 x 32, that is pictures of 256 x 256; got features of \(16, 16\)"
    ):
        ConventionalFeatureDiscriminator()(features[..., :16, :16])
    with pytest.raises(ValueError, match="feature must be one of patch, conventional, null"):
        Discriminator(feature="x")
    with pytest.raises(ValueError, match=r"strides must be three numbers, got \[2\]"):
        Discriminator(strides=(2,))
    with pytest.raises(ValueError, match="needs VGG-16's features after pool3"):
        Discriminator(width=0.0625)(image)


# ---------------------------------------------------------------------- losses
def test_relativistic_loss_by_hand() -> None:
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 1.0])
    loss = RelativisticLeastSquares()
    # Means 2 and 0.5: real - 0.5 - 1 = -0.5, 1.5; fake - 2 + 1 = -1, 0.
    assert loss.discriminator([fake], [real]).item() == pytest.approx((1.25 + 0.5) / 2)
    # real - 0.5 + 1 = 1.5, 3.5; fake - 2 - 1 = -3, -2.
    assert loss.generator([fake], [real]).item() == pytest.approx((7.25 + 6.5) / 2)
    assert loss.generator([fake, fake], [real, real]) == 2 * loss.generator([fake], [real])
    with pytest.raises(ValueError, match="needs the scores of the real pictures"):
        loss.generator([fake], None)


def test_consistency_by_hand() -> None:
    target, hole = torch.full((1, 2, 2, 2), 3.0), torch.tensor([[[[1.0, 0], [0, 0]]]])
    features = torch.full((1, 2, 2, 2), 5.0)
    assert consistency([features], target, hole) == 4 * 2 / 8  # two channels of one position, of 8 elements
    assert consistency([features, features], target, hole) == 2
    assert consistency([features], target, hole, mask_target=False) == (4 * 2 + 9 * 6) / 8
    with pytest.raises(ValueError, match="needs a generator of width 1"):
        consistency([features[:, :1]], target, hole)


# ---------------------------------------------------------------------- training
@pytest.mark.parametrize("term", ["l1", "consistency", "adversarial"])
def test_each_term_alone_moves_what_it_should(term: str) -> None:
    trained = module({name: float(name == term) for name in WEIGHTS})
    before = snapshot(trained)
    train(trained, data=batch())
    changed = {
        name.split(".")[1] for name, value in trained.state_dict().items() if not torch.equal(value, before[name])
    }
    expected = {
        "l1": {"rough", "refinement"},
        "consistency": {"refinement"},
        "adversarial": {"refinement", "patch", "feature"},
    }
    assert changed == expected[term]
    assert moved(trained, before) == {"generator", "discriminator"} if term == "adversarial" else {"generator"}


def test_every_parameter_of_the_generator_gets_a_gradient(full: CSA) -> None:
    """Of the consistency loss alone: everything up to the second tap; the released one has none at all."""
    data = batch()
    output = full(data.image, data.hole)
    term = full.generator_terms(data, output)["consistency"]
    term.backward()
    refinement = full.generator.refinement
    assert all(w.grad is not None for w in refinement.encoder.parameters())
    assert refinement.last[1].weight.grad is None
    full.zero_grad()


def test_terms_of_paper_and_authors(full: CSA) -> None:
    data = batch()
    output = full(data.image, data.hole)
    hole, target = full.generator.feature_hole(data.hole), full.vgg(data.image)[1]
    terms = full.generator_terms(data, output)
    l1 = (output.image - data.image).abs().mean() + (output.coarse - data.image).abs().mean()
    torch.testing.assert_close(terms["l1"], 2 * l1)
    torch.testing.assert_close(terms["consistency"], consistency(output.features, target, hole))
    patch, features = full.judge(output.image, data)
    assert torch.autograd.grad(features.sum(), output.image, retain_graph=True)[0].abs().sum() > 0
    torch.testing.assert_close(patch, full.discriminator.patch(output.image))

    released = module(follows="authors", vgg=Vgg16("random", layers=("pool3", "relu4_3"), normalise=False))
    terms = released.generator_terms(data, output)
    assert not terms["consistency"].requires_grad
    target = released.vgg(2 * data.image - 1)[1]
    torch.testing.assert_close(terms["consistency"], consistency(output.features, target, hole, mask_target=False))
    patch, features = released.judge(output.image, data)
    assert torch.autograd.grad(features.sum(), output.image, retain_graph=True, allow_unused=True)[0] is None
    assert torch.autograd.grad(patch.sum(), output.image)[0].abs().sum() > 0
    with pytest.raises(ValueError, match="follows must be one of paper, authors"):
        module(follows="x")


def test_the_critics_do_not_reach_the_generator(full: CSA) -> None:
    data = batch()
    loss = full.discriminator_loss(data, full(data.image, data.hole))
    loss.backward()
    assert all(w.grad is None for w in full.generator.parameters())
    assert all(w.grad is not None for w in full.discriminator.parameters())
    full.zero_grad()


def test_the_truth_is_looked_at_once_per_batch(full: CSA, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Tensor] = []
    look = full._look
    monkeypatch.setattr(full, "_look", lambda image: looked.append(image) or look(image))
    for data in (batch(), batch()):
        output = full(data.image, data.hole)
        full.discriminator_loss(data, output)
        full.generator_terms(data, output)
        full.judge(full.fake(data, output), data)
        full.judge(data.image, data)
    assert len(looked) == 6  # truth, detached output, output


def test_without_vgg() -> None:
    weights = WEIGHTS | {"consistency": 0.0}
    critics = {"discriminator": Discriminator(feature=None, width=0.125), "vgg": None, "generator": small()}
    trained = module(weights, **critics)
    train(trained, data=batch())
    assert "train/consistency" not in trained.logged
    with pytest.raises(ValueError, match=r"the feature discriminator needs VGG-16; set vgg, or discriminator\.feat"):
        module(weights, vgg=None)
    with pytest.raises(
        ValueError, match=r"vgg\.layers must be pool3 and the layer of the consistency loss, got \['pool3'\]"
    ):
        module(layers=("pool3",))
    narrow, data = module(generator=small()), batch()
    output = narrow(data.image, data.hole)
    with pytest.raises(ValueError, match="needs a generator of width 1"):
        narrow.generator_terms(data, output)


def test_outputs_of_both_stages_are_pictures_between_0_and_1() -> None:
    data = batch()
    output = small()(data.image, data.hole)
    assert isinstance(output, Output)
    assert output.coarse is not None
    assert 0 <= output.coarse.min() < output.coarse.max() <= 1
