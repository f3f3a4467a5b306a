"""Charef & Ouqour: Eq. 1's gate, and the network that is GConv's without it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from inpaintlab.layers.position_gate import DOMAINS, SCORES, USES, PositionGate
from inpaintlab.networks import gconv
from inpaintlab.networks.charef import Generator


def features() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    hole = torch.zeros(2, 1, 6, 5)
    hole[0, :, 1:4, 2:] = 1
    hole[1, :, :2] = 1
    return torch.randn(2, 16, 6, 5), hole


def random_gate(**options: str) -> PositionGate:
    """A gate as after training."""
    torch.manual_seed(1)
    gate = PositionGate(16, **options)
    for weight in gate.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return gate


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("score", SCORES)
def test_weights_sum_to_one_over_the_domain(score: str, domain: str) -> None:
    x, hole = features()
    gate = random_gate(score=score, domain=domain)
    alpha = gate.alpha(x, hole)
    assert alpha.shape == (2, 1, 6, 5)
    torch.testing.assert_close(alpha.sum((1, 2, 3)), torch.ones(2))
    if domain == "known":
        assert (alpha[hole > 0] == 0).all()


def test_equation_1() -> None:
    x, hole = features()
    gate = random_gate()
    f = torch.einsum("c,nchw->nhw", gate.score.weight[0, :, 0, 0], x)
    expected = f.exp() / f.exp().sum((1, 2), keepdim=True)
    torch.testing.assert_close(gate.alpha(x, hole)[:, 0], expected)
    torch.testing.assert_close(gate(x, hole), 30 * expected[:, None] * x)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("use", USES)
def test_the_gate_starts_as_the_identity_except_literally(use: str, score: str, domain: str) -> None:
    x, hole = features()
    y = PositionGate(16, use=use, score=score, domain=domain)(x, hole)
    if use != "literal":
        torch.testing.assert_close(y, x)
    elif domain == "all":
        torch.testing.assert_close(y, x / 30)
    else:
        torch.testing.assert_close(y, torch.where(hole > 0, x, x / (1 - hole).sum((2, 3), keepdim=True)))


def test_uses_by_their_formulas() -> None:
    x, hole = features()
    alpha = random_gate().alpha(x, hole)
    residual, pool = random_gate(use="residual"), random_gate(use="pool")
    torch.testing.assert_close(residual(x, hole), x + residual.strength * 30 * residual.alpha(x, hole) * x)
    vector = (pool.alpha(x, hole) * x).sum((2, 3))
    torch.testing.assert_close(pool(x, hole), x + (vector @ pool.context.weight[..., 0, 0].T)[..., None, None])
    torch.testing.assert_close(random_gate(use="literal")(x, hole), alpha * x)


@pytest.mark.parametrize("use", USES)
def test_among_known_positions_the_hole_stays_and_has_no_influence(use: str) -> None:
    x, hole = features()
    gate = random_gate(use=use, domain="known")
    y = gate(x, hole)
    other = gate(torch.where(hole > 0, x + 3, x), hole)
    known = (hole == 0).expand_as(x)
    torch.testing.assert_close(other[known], y[known])
    if use != "pool":
        assert torch.equal(y[~known], x[~known])
    assert gate(x, torch.ones_like(hole)).isfinite().all()


def test_autocast_leaves_the_softmax_in_float32() -> None:
    x, hole = features()
    with torch.autocast("cpu", torch.bfloat16):
        assert random_gate().alpha(x.bfloat16(), hole).dtype == torch.float32
        assert random_gate()(x.bfloat16(), hole).dtype == torch.bfloat16


def pictures() -> tuple[Tensor, Tensor]:
    torch.manual_seed(2)
    image, hole = torch.rand(2, 3, 64, 96), torch.zeros(2, 1, 64, 96)
    hole[0, :, 10:40, 20:60] = 1
    hole[1, :, 30:50, :30] = 1
    return image, hole


def like_gconv(**options: Any) -> tuple[Generator, gconv.Generator]:
    torch.manual_seed(0)
    gconv_generator = gconv.Generator(width=0.25)
    for weight in gconv_generator.parameters():  # as after training; initially the features fade from layer to layer
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=2 / weight[0].numel() ** 0.5)
    generator = Generator(width=0.25, **options)
    generator.load_state_dict(gconv_generator.state_dict(), strict=False)
    return generator, gconv_generator


def test_without_gate_and_with_its_attention_it_is_gconv() -> None:
    images = pictures()
    generator, other = like_gconv(gate=None, attention_follows="gconv", propagation=True)
    assert torch.equal(generator(*images).image, other(*images).image)
    gated, _ = like_gconv(attention_follows="gconv", propagation=True)
    torch.testing.assert_close(
        gated(*images).image, other(*images).image, rtol=0, atol=1e-4
    )  # the gate starts as the identity
    default, _ = like_gconv(gate=None)
    assert not torch.allclose(default(*images).image, other(*images).image)
    assert torch.equal(default(*images).coarse, other(*images).coarse)


def test_numbers_of_parameters() -> None:
    def count(**options: Any) -> int:
        return sum(p.numel() for p in Generator(**options).parameters())

    assert count(gate=None) == 4_052_478
    assert count() == 4_052_478 + 192
    assert count(gate_where=["coarse", "convolution", "attention"]) == 4_052_478 + 3 * 96
    assert count(gate="pool") == 4_052_478 + 192 + 192 * 192
    assert count(convolution="plain", gate=None) == 3_598_342


@pytest.mark.parametrize(
    "options",
    [
        {"gate": "residual", "gate_domain": "known"},
        {"gate": "pool", "gate_where": ["merged", "convolution", "attention", "coarse"]},
        {"gate": "literal", "gate_score": "two_layers"},
        {"attention": "none"},
        {"attend": "hole", "propagation": True},
        {"convolution": "plain", "refinement_input": "image_ones_hole"},
        {"passes": 3, "refinement_input": "image_hole"},
        {"stages": 1, "gate": None},
        {"stages": 1, "gate_where": ["coarse"]},
        {"rate": 1, "patch": 1, "scale": 5.0},
    ],
)
def test_every_assumption_can_be_changed_and_trains(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    generator = Generator(width=0.25, **options)
    image, hole = pictures()
    output = generator(image, hole)
    assert output.image.shape == image.shape
    assert (output.coarse is None) == (options.get("stages") == 1)
    output.image.square().mean().backward()
    for name, weight in generator.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name


def test_a_detached_coarse_network_learns_from_its_own_result_only() -> None:
    generator = Generator(width=0.25, detach_coarse=True)
    output = generator(*pictures())
    output.image.sum().backward()
    assert all(p.grad is None for p in generator.coarse.parameters())
    generator(*pictures()).coarse.sum().backward()
    assert all(p.grad is not None for p in generator.coarse.parameters())


def test_a_second_pass_refines_the_first_result() -> None:
    generator, _ = like_gconv(gate=None)
    seen: list[Tensor] = []
    generator.refinement.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    image, hole = pictures()
    with torch.no_grad():
        once = generator(image, hole).image
        generator.passes = 2
        generator(image, hole)
    assert len(seen) == 3
    torch.testing.assert_close(seen[2], torch.where(hole > 0, 2 * once - 1, 2 * image - 1))


def test_attention_in_the_hole_only_leaves_known_features() -> None:
    generator, _ = like_gconv(gate=None, attend="hole")
    before: list[Tensor] = []
    generator.refinement.matching.register_forward_hook(lambda _m, _i, y: before.append(y))
    generator.refinement.after.register_forward_pre_hook(lambda _m, inputs: before.append(inputs[0]))
    image, hole = pictures()
    with torch.no_grad():
        generator(image, hole)
        small = generator.refinement.resized(hole, before[0])
    known = (small == 0).expand_as(before[0])
    assert torch.equal(before[0][known], before[1][known])
    assert not torch.allclose(before[0][~known], before[1][~known])


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="gate_where must be one of coarse"):
        Generator(stages=1, width=0.25)
    with pytest.raises(ValueError, match="use must be one of scale, residual, pool, literal"):
        Generator(gate="max", width=0.25)
    with pytest.raises(ValueError, match="passes 1, 2 or 3; got stages=2, passes=4"):
        Generator(passes=4, width=0.25)
