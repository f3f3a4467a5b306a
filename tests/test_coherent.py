"""Coherent semantic attention: the fast layer equals the definition, exact gradients, holes that differ, odd inputs."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from inpaintlab.layers.coherent import CoherentAttention, feature_hole

OPTIONS = [
    {"similarity": similarity, "dad_reference": reference}
    for similarity in ("cosine", "inner_product")
    for reference in ("original", "initialised")
]
NAMES = ["-".join(option.values()) for option in OPTIONS]


def features(n: int = 3, channels: int = 6, height: int = 5, width: int = 7, seed: int = 0) -> Tensor:
    """Of one sign mostly, so that the released similarity is well conditioned too."""
    torch.manual_seed(seed)
    return torch.rand(n, channels, height, width, dtype=torch.float64) + 0.1 * torch.randn(n, channels, height, width)


def holes(height: int = 5, width: int = 7) -> Tensor:
    """Three of different sizes, the second in two parts."""
    hole = torch.zeros(3, 1, height, width)
    hole[0, :, 1:4, 2:5] = 1
    hole[1, :, 0, :3] = hole[1, :, 3:, 5:] = 1
    hole[2, :, 2, 3] = 1
    return hole


def both(layer: CoherentAttention, x: Tensor, hole: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    leaf = x.clone().requires_grad_()
    output = layer(leaf, hole)
    (output * weight).sum().backward()
    assert leaf.grad is not None
    return output.detach(), leaf.grad


@pytest.mark.parametrize("gradient", ["exact", "truncated"])
@pytest.mark.parametrize("options", OPTIONS, ids=NAMES)
def test_fast_equals_the_definition(options: dict[str, Any], gradient: str) -> None:
    x, hole = features(), holes()
    weight = torch.randn_like(x)
    fast, plain = (CoherentAttention(**options, gradient=gradient, implementation=name) for name in ("fast", "plain"))
    fast.keep_attention = plain.keep_attention = True
    for actual, expected in zip(both(fast, x, hole, weight), both(plain, x, hole, weight), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)
    assert fast.kept is not None
    assert plain.kept is not None
    ours, theirs = fast.kept.trace, plain.kept.trace
    valid = ours.valid
    assert valid.sum(1).tolist() == [9, 7, 1]
    for name in ("match", "dmax", "dad", "weight"):
        torch.testing.assert_close(getattr(ours, name)[valid], getattr(theirs, name)[valid])


@pytest.mark.parametrize("options", OPTIONS, ids=NAMES)
def test_gradient_is_the_derivative(options: dict[str, Any]) -> None:
    layer = CoherentAttention(**options)
    hole = holes(4, 5)[:, :, :4, :5]
    x = features(3, 4, 4, 5, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: layer(x, hole), (x,), eps=1e-7, atol=1e-5)


def test_by_hand() -> None:
    """Three known patches and two missing ones in a row of two channels."""
    x = torch.tensor([[2.0, 0.0], [1.0, 0.5], [0.5, 1.0], [0.0, 3.0], [0.6, 0.6]]).t().reshape(1, 2, 1, 5)
    hole = torch.tensor([0.0, 1, 1, 0, 0]).view(1, 1, 1, 5)
    out = CoherentAttention()(x, hole)[0, :, 0].t()
    # Both missing patches are nearest to (0.6, 0.6); the first copies it, so the second mixes it with itself.
    torch.testing.assert_close(out, torch.tensor([[2.0, 0.0], [0.6, 0.6], [0.6, 0.6], [0.0, 3.0], [0.6, 0.6]]))
    x[0, :, 0, 4] = torch.tensor([3.0, -3.0])
    layer = CoherentAttention()
    layer.keep_attention = True
    out = layer(x, hole)[0, :, 0].t()
    cosine = 2 / 5**0.5  # of (1, 0.5) with (2, 0), and of (0.5, 1) with (0, 3)
    across = 1 / 5**0.5  # of (0.5, 1) with the patch before, (2, 0)
    w = across / (across + cosine)
    torch.testing.assert_close(out[1:3], torch.tensor([[2.0, 0.0], [2 * w, 3 * (1 - w)]]))
    assert layer.kept is not None
    torch.testing.assert_close(layer.kept.trace.attention()[0], torch.tensor([[1.0, 0, 0, 0, 0], [w, 0, 0, 1 - w, 0]]))
    across = CoherentAttention(dad_reference="initialised")(x, hole)  # (0, 3) has nothing of (2, 0)
    torch.testing.assert_close(across[0, :, 0, 2], torch.tensor([0.0, 3.0]))


@pytest.mark.parametrize("options", OPTIONS, ids=NAMES)
def test_samples_with_their_own_holes_equal_single_ones(options: dict[str, Any]) -> None:
    layer = CoherentAttention(**options)
    x, hole = features(), holes()
    weight = torch.randn_like(x)
    together = both(layer, x, hole, weight)
    for i in range(3):
        alone = both(layer, x[i : i + 1], hole[i : i + 1], weight[i : i + 1])
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a[i : i + 1], b, rtol=1e-12, atol=1e-13)
    shared = layer(x, hole[:1])
    torch.testing.assert_close(shared, layer(x, hole[:1].expand(3, -1, -1, -1)), rtol=0, atol=0)


@pytest.mark.parametrize("implementation", ["fast", "plain"])
def test_no_hole_and_nothing_known_pass_through(implementation: str) -> None:
    layer = CoherentAttention(implementation=implementation)
    x, hole = features(), holes()
    for value in (0.0, 1.0):
        assert torch.equal(layer(x, torch.full_like(hole, value)), x)
    hole[0], hole[2] = 1, 0
    leaf = x.clone().requires_grad_()
    output = layer(leaf, hole)
    output.sum().backward()
    assert torch.equal(output[[0, 2]], x[[0, 2]])
    assert not torch.equal(output[1], x[1])
    assert leaf.grad is not None
    assert torch.isfinite(leaf.grad).all()
    assert (leaf.grad[[0, 2]] == 1).all()


@pytest.mark.parametrize("implementation", ["fast", "plain"])
@pytest.mark.parametrize("options", OPTIONS, ids=NAMES)
def test_zero_features_are_defined(options: dict[str, Any], implementation: str) -> None:
    layer = CoherentAttention(**options, implementation=implementation)
    x, hole = features(), holes()
    x[0, :, 2] = 0
    output, gradient = both(layer, x, hole, torch.ones_like(x))
    assert torch.isfinite(output).all()
    assert torch.isfinite(gradient).all()
    output, gradient = both(layer, torch.zeros_like(x), hole, torch.ones_like(x))
    assert (output == 0).all()
    assert torch.isfinite(gradient).all()


def test_cosine_weights_keep_the_output_among_the_known_patches() -> None:
    """White noise of both signs, where the released similarity runs away."""
    torch.manual_seed(2)
    x = torch.randn(1, 8, 16, 16)
    hole = torch.zeros(1, 1, 16, 16)
    hole[..., 3:13, 3:13] = 1
    layer = CoherentAttention()
    layer.keep_attention = True
    output = layer(x, hole)
    assert layer.kept is not None
    attention = layer.kept.trace.attention()
    assert attention.min() >= 0
    torch.testing.assert_close(attention.sum(2), torch.ones(1, 100))
    known = x.flatten(2)[0] * (1 - hole.flatten(2)[0])
    torch.testing.assert_close(
        output.flatten(2)[0][:, hole.flatten() > 0], (attention[0] @ known.t()).t(), rtol=1e-5, atol=1e-5
    )


def test_kept_maps_belong_to_the_missing_positions_nearest_to_the_points() -> None:
    layer = CoherentAttention()
    layer.keep_attention = True
    layer.points = [(0.3, 0.35), (0.0, 0.0)]  # row 1, column 2 of 5 x 7, and the corner
    layer(features(), holes())
    assert layer.kept is not None
    heat, trace = layer.kept.heat, layer.kept.trace
    assert heat.shape == (3, 2, 5, 7)
    torch.testing.assert_close(heat.flatten(2).sum(2), torch.ones(3, 2, dtype=torch.float64))
    assert torch.equal(heat[0, 0].flatten(), trace.attention()[0, 0])
    assert torch.equal(heat[1, 1].flatten(), trace.attention()[1, 0])
    assert torch.equal(heat[2, 0], heat[2, 1])  # it has one missing position
    weights = trace.on_map(trace.weight)
    assert weights.shape == (3, 1, 5, 7)
    assert (weights[holes() == 0] == 0).all()
    assert (weights[0, 0, 1:4, 2:5].flatten() == trace.weight[0]).all()
    layer(features(), torch.zeros(1, 1, 5, 7))
    assert layer.kept is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_float32_inside_autocast(dtype: torch.dtype) -> None:
    x, hole = features().float(), holes()
    layer = CoherentAttention()
    with torch.autocast("cpu", torch.bfloat16):
        output = layer(x.to(dtype), hole)
    assert output.dtype == dtype
    torch.testing.assert_close(output, layer(x.to(dtype).float(), hole).to(dtype), rtol=0, atol=0)


@pytest.mark.parametrize("gradient", ["exact", "truncated"])
def test_gradients_are_float32_inside_autocast(gradient: str) -> None:
    x, hole = features().float(), holes()
    layer, weight = CoherentAttention(gradient=gradient), torch.randn_like(x)
    expected = both(layer, x, hole, weight)
    with torch.autocast("cpu", torch.bfloat16):
        for actual, wanted in zip(both(layer, x, hole, weight), expected, strict=True):
            torch.testing.assert_close(actual, wanted, rtol=0, atol=0)


def test_channels_last_features() -> None:
    x, hole = features(), holes()
    layer, weight = CoherentAttention(), torch.randn_like(x)
    expected = both(layer, x, hole, weight)
    for actual, wanted in zip(
        both(layer, x.to(memory_format=torch.channels_last), hole, weight), expected, strict=True
    ):
        torch.testing.assert_close(actual, wanted, rtol=1e-12, atol=1e-13)


def test_errors_say_what_is_accepted() -> None:
    for option in ("similarity", "dad_reference", "gradient", "follows", "implementation"):
        with pytest.raises(ValueError, match=f"{option} must be one of .*; got 'x'"):
            CoherentAttention(**{option: "x"})
    with pytest.raises(ValueError, match=r"for features \(2, 6, 5, 7\) the hole must be .* got \(3, 1, 5, 7\)"):
        CoherentAttention()(features()[:2], holes())


def test_feature_hole_by_hand() -> None:
    """One step: a 2x2 hole aligned with the grid is 4/16 of its window, below the threshold; 2x3 is 6/16, above."""
    hole = torch.zeros(2, 1, 8, 8)
    hole[0, :, 2:4, 2:4] = 1
    hole[1, :, 2:4, 1:4] = 1
    assert feature_hole(hole, 1).sum((1, 2, 3)).tolist() == [0, 1]
    assert feature_hole(hole, 1)[1, 0, 1, 1] == 1
    assert feature_hole(torch.ones(1, 1, 16, 16), 2).shape == (1, 1, 4, 4)
    assert feature_hole(torch.ones(1, 1, 16, 16), 1)[0, 0, 0, 0] == 1  # 9/16 at the corner
    assert torch.equal(feature_hole(hole, 1, threshold=3 / 16).sum((1, 2, 3)), torch.tensor([1.0, 2.0]))


KERNELS = """
import torch
from inpaintlab.layers.coherent import kernels, scan

torch.manual_seed(3)
u, p, gradient, step, into = (torch.rand(3, 9, 20) for _ in range(5))
v, weight, counts = torch.rand(3, 9), torch.rand(3, 9), (9, 4, 0)
for cosine in (True, False):
    pairs = [
        *zip(kernels.forward(u, v, p, counts, cosine), scan._forward(u, v, p, counts, cosine), strict=True),
        *zip(
            kernels.backward(gradient, weight, step, into, counts),
            scan._backward(gradient, weight, step, into, counts),
            strict=True,
        ),
    ]
    for ours, expected in pairs:
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)
print("equal")
"""


COMPILE = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from inpaintlab.layers.coherent import kernels

numbers = {"counts": "*i64", "n": "i32", "channels": "i32", "epsilon": "fp32", "cosine": "constexpr"}
for kernel in (kernels._forward, kernels._backward):
    signature = {name: numbers.get(name, "*fp32") for name in kernel.arg_names} | {"block": "constexpr"}
    fixed = {"cosine": True, "block": 512} if "cosine" in signature else {"block": 512}
    compile(ASTSource(kernel, signature=signature, constexprs=fixed), target=GPUTarget("cuda", 90, 32))
    print("compiled")
"""


def test_kernels_equal_the_scan_on_the_host() -> None:
    """Under Triton's interpreter, which wants to be asked for before Triton is imported."""
    pytest.importorskip("triton")
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", KERNELS], env=environment, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "equal", done.stderr


def test_kernels_compile_for_a_gpu_that_is_not_here() -> None:
    pytest.importorskip("triton")
    done = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["compiled"] * 2, done.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_layer_on_a_gpu_equals_the_host() -> None:
    x, hole = features(3, 40, 16, 16).float(), torch.zeros(3, 1, 16, 16)
    hole[:, :, 4:12, 3:11] = 1
    hole[1, :, 6:] = 0
    weight = torch.randn_like(x)
    for options in OPTIONS:
        layer = CoherentAttention(**options)
        on_gpu = both(layer, x.cuda(), hole.cuda(), weight.cuda())
        for ours, expected in zip(on_gpu, both(layer, x, hole, weight), strict=True):
            torch.testing.assert_close(ours.cpu(), expected, rtol=1e-4, atol=1e-5)
