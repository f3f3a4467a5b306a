"""Contextual attention: both implementations agree, and do what the definition says in cases that one can work out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from inpaintlab.layers.contextual import (
    ContextualAttention,
    Deviations,
    blocks,
    fast,
    plain,
    resize_nearest,
    shifts,
    strips,
)
from inpaintlab.layers.contextual.flow import colour_wheel, flow_picture
from inpaintlab.layers.contextual.rules import Setting, rules_of, usable_patches

IMPLEMENTATIONS = ["plain", "fast"]
COSINE: Deviations = {"foreground_norm": True}


def maps(*shape: int, seed: int = 0, **kind: Any) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=kind.get("dtype", torch.float64))


def random_hole(samples: int, height: int, width: int, share: float) -> Tensor:
    noise = torch.rand(samples, 1, height, width, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return (noise < share).double()


def both(
    foreground: Tensor, hole: Tensor | None, background: Tensor | None, **options: Any
) -> list[tuple[Tensor, list[Tensor], ContextualAttention]]:
    """Output, gradients and layer of each implementation."""
    results = []
    for implementation in IMPLEMENTATIONS:
        inputs = [x.clone().requires_grad_() for x in (foreground, background) if x is not None]
        layer = ContextualAttention(implementation=implementation, **options)
        layer.keep_attention, layer.points = True, [(0.0, 0.0), (0.4, 0.7), (1.0, 1.0)]
        output = layer(inputs[0], hole, *inputs[1:])
        weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output).sin()
        results.append((output, list(torch.autograd.grad((output * weights).sum(), inputs)), layer))
    return results


def assert_equal(results: list[tuple[Tensor, list[Tensor], ContextualAttention]]) -> None:
    (expected, slopes, definition), (actual, own_slopes, layer) = results
    torch.testing.assert_close(actual, expected, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(own_slopes, slopes, atol=1e-10, rtol=1e-10)
    assert layer.kept is not None
    assert definition.kept is not None
    torch.testing.assert_close(layer.kept.heat, definition.kept.heat, atol=1e-10, rtol=1e-10)
    assert torch.equal(layer.kept.offsets, definition.kept.offsets)


# ---------------------------------------------------------------------- both implementations are the same function
@pytest.mark.parametrize("rows", [1, 2, 3, 100])
@pytest.mark.parametrize(
    "sizes", [((7, 5), (4, 6)), ((1, 6), (5, 1)), ((2, 3), (1, 2)), ((5, 2), (2, 7)), ((1, 1), (1, 1))]
)
def test_fast_is_plain_for_maps_of_any_size(
    sizes: tuple[tuple[int, int], tuple[int, int]], rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (h, w), (hb, wb) = sizes
    monkeypatch.setattr(fast, "ROWS", 1)
    monkeypatch.setitem(fast.BLOCK, "cpu", rows * w * hb * wb)
    foreground, background = maps(2, 3, 2 * h, 2 * w), maps(2, 3, 2 * hb, 2 * wb, seed=1)
    assert_equal(both(foreground, random_hole(2, 2 * hb, 2 * wb, 0.02), background, scale=1.0))


@pytest.mark.parametrize(
    "options",
    [
        {"follows": "port"},
        {"follows": "mmagic"},
        {**COSINE, "fuse": 1, "scale": 10.0},
        {**COSINE},
        {"fuse": 1},
        {"fuse": 5},
        {"kernel": 5},
        {"kernel": 1, "fuse": 1},
        {"rate": 1},
        {"rate": 3, "follows": "mmagic", "sampling": "align_corners"},
    ],
    ids=str,
)
@pytest.mark.parametrize("share", [0.0, 0.04, 1.0])
def test_fast_is_plain_under_all_rules(options: dict[str, Any], share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "ROWS", 2)
    monkeypatch.setitem(fast.BLOCK, "cpu", 1)
    rate = options.get("rate", 2)
    features = maps(3, 4, 6 * rate, 4 * rate)
    results = both(features, random_hole(3, 6 * rate, 4 * rate, share), None, **{"scale": 1.0, **options})
    assert_equal(results)
    if share == 1:
        assert not results[1][0].any()  # nothing to copy


def test_samples_are_worked_on_together_where_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    features, hole = maps(5, 3, 8, 6), random_hole(5, 8, 6, 0.1)
    for samples in (1, 2, 5):
        monkeypatch.setitem(fast.BLOCK, "cpu", samples * 12 * 12)
        assert_equal(both(features, hole, None, scale=1.0))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    ("follows", "deviations"), [("authors", {}), ("port", {}), ("mmagic", {}), ("authors", COSINE)]
)
def test_gradient_agrees_with_finite_differences(follows: str, deviations: Deviations, implementation: str) -> None:
    layer = ContextualAttention(follows=follows, **deviations, scale=1.0, implementation=implementation)
    hole = torch.zeros(1, 1, 4, 8, dtype=torch.float64)
    hole[..., :2, :2] = 1
    foreground, background = maps(1, 1, 6, 4).requires_grad_(), maps(1, 1, 4, 8, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda f, b: layer(f, hole, b), (foreground, background))


@pytest.mark.parametrize("reach", [1, 2])
@pytest.mark.parametrize("start", [-3, 0, 4])
def test_sums_and_their_adjoints(start: int, reach: int) -> None:
    steps = shifts.diagonal(reach, start, 2, 3)
    x, y = maps(2, 9, 8), maps(2, 5, 8, seed=1)
    there = shifts.shifted_sum(torch.empty_like(y), x, *steps)
    back = shifts.shifted_sum(torch.empty_like(x), y, *shifts.opposite(steps))
    torch.testing.assert_close((there * y).sum(), (back * x).sum())
    x, y = maps(1, 7, 2, 3, 2), maps(1, 5, 2, 3, 2, seed=1)
    there = shifts.column_sum(torch.empty_like(y), x, reach, start)
    back = shifts.column_sum(torch.empty_like(x), y, reach, -start)
    torch.testing.assert_close((there * y).sum(), (back * x).sum())


# ---------------------------------------------------------------------- what the layer does
def test_an_exact_repeat_is_copied_into_the_hole() -> None:
    features = maps(1, 8, 24, 24)
    features[..., 14:, 14:] = features[..., 2:12, 2:12]
    hole = torch.zeros(1, 1, 24, 24, dtype=torch.float64)
    hole[..., 16:20, 16:20] = 1
    for implementation in IMPLEMENTATIONS:
        layer = ContextualAttention(implementation=implementation, follows="port", fuse=1)
        layer.keep_attention = True
        filled = layer(features, hole)
        torch.testing.assert_close(filled[..., 16:20, 16:20], features[..., 4:8, 4:8], atol=1e-6, rtol=1e-6)
        assert layer.kept is not None
        assert (layer.kept.offsets[..., 8:10, 8:10] == -6).all()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_nothing_is_copied_from_the_hole(implementation: str) -> None:
    foreground, background = maps(1, 4, 16, 16), maps(1, 4, 16, 16, seed=1)
    hole = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    hole[..., 4:10, 6:12] = 1
    changed = torch.where(hole > 0, 1e3 * torch.ones_like(background), background)
    alone = ContextualAttention(implementation=implementation, follows="port", fuse=1)
    torch.testing.assert_close(alone(foreground, hole, changed), alone(foreground, hole, background))
    # With fusion the hole votes on where to copy from, as in the codes, but is still not copied.
    fused = ContextualAttention(implementation=implementation, follows="port")
    known = torch.where(hole > 0, 1e3, torch.ones_like(background))
    assert fused(foreground, hole, known).max() <= 1 + 1e-12


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_samples_do_not_mix(implementation: str) -> None:
    features, hole = maps(3, 4, 12, 8), random_hole(3, 12, 8, 0.05)
    layer = ContextualAttention(implementation=implementation)
    alone = torch.cat([layer(f[None], h[None]) for f, h in zip(features, hole, strict=True)])
    torch.testing.assert_close(layer(features, hole), alone)
    first = ContextualAttention(implementation=implementation, mask="first")
    torch.testing.assert_close(first(features, hole), layer(features, hole[:1]))
    assert not torch.allclose(first(features, hole), alone)


def test_fusion_inside_the_map_is_a_tent_of_five_by_five() -> None:
    """With patches of one norm, T[i, j] = sum over o of (3 - |o_y|)(3 - |o_x|) <x_{i+o}, b_{j+o}> / norm."""
    features = maps(1, 3, 9, 8)
    setting = Setting(rules_of("port"), rate=1, scale=1.0)
    norms = plain.patch_norm(F.unfold(features, 3, padding=1).square().sum(1), 27, setting)[0].view(9, 8)
    scores = plain.logits(features, features, setting)[0].view(9, 8, 9, 8)
    x = features[0]
    for y, x_, v, u in ((3, 3, 5, 4), (4, 4, 4, 4), (5, 3, 3, 4)):
        expected = 0.0
        for dy in range(-2, 3):
            for dx in range(-2, 3):
                product = (x[:, y + dy, x_ + dx] * x[:, v + dy, u + dx]).sum()
                for e in range(max(-1, dy - 1), min(1, dy + 1) + 1):
                    for d in range(max(-1, dx - 1), min(1, dx + 1) + 1):
                        expected += product / norms[v + e, u + d]
        torch.testing.assert_close(scores[y, x_, v, u], expected)


def test_border_is_darker_by_the_constant_divisor_only() -> None:
    ones = torch.ones(1, 1, 8, 8, dtype=torch.float64)
    four = ContextualAttention()(ones)
    assert four[0, 0, 4, 4].item() == pytest.approx(1)
    assert four[0, 0, 0, 4].item() == pytest.approx(0.5)
    assert four[0, 0, 7, 7].item() == pytest.approx(0.25)
    overlaps = ContextualAttention(divisor="overlaps")(ones)
    torch.testing.assert_close(overlaps, ones)


def test_removed_patches_keep_their_share_of_the_denominator() -> None:
    """All scores are 0 here: 36 patches, of which 9 are removed, get 1 / 36 each, or 1 / 27 if they take no part."""
    hole = torch.zeros(1, 1, 12, 12)
    hole[..., 4:6, 4:6] = 1
    for removed, share in (("zero_score", 27 / 36), ("minus_infinity", 1.0)):
        for implementation in IMPLEMENTATIONS:
            layer = ContextualAttention(follows="port", removed=removed, implementation=implementation)
            layer.keep_attention, layer.points = True, [(0.5, 0.5)]
            layer(torch.zeros(1, 2, 12, 12), hole)
            assert layer.kept is not None
            assert layer.kept.heat.sum().item() == pytest.approx(share)
            assert not layer.kept.heat[0, 0, 1:4, 1:4].any()


# ---------------------------------------------------------------------- numbers and memory
def test_dropping_tiny_weights_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    features, hole = maps(1, 16, 24, 24, dtype=torch.float32), random_hole(1, 24, 24, 0.02).float()
    layer = ContextualAttention(scale=2.0)
    layer.keep_attention, layer.points = True, [(0.5, 0.5)]
    dropped = layer(features, hole)
    assert layer.kept is not None
    heat = layer.kept.heat
    assert (heat == 0).sum() > 0
    assert heat[heat > 0].min() > 1e-36
    monkeypatch.setattr(blocks, "SMALLEST", 1e-44)
    torch.testing.assert_close(layer(features, hole), dropped, atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_scores_are_float32_for_half_precision_and_under_autocast(kind: torch.dtype) -> None:
    features = maps(1, 8, 12, 12, dtype=torch.float32).to(kind)
    layer = ContextualAttention()
    expected = layer(features.float()).to(kind)
    assert torch.equal(layer(features), expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(features), expected)


class Largest(TorchDispatchMode):
    """Elements of the largest tensor that any operator returns."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self.elements = max(self.elements, *sizes, 0)
        return result


def test_memory_grows_with_the_positions_not_with_their_square(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training on a map of four times the height: four times the memory, where the whole matrix would be sixteen."""
    monkeypatch.setattr(fast, "ROWS", 1)
    monkeypatch.setitem(fast.BLOCK, "cpu", 1)
    monkeypatch.setattr(strips, "KEPT", 0)
    elements, saved = [], []
    for height in (16, 64):
        features = maps(1, 2, height, 16, dtype=torch.float32).requires_grad_()
        kept: list[int] = []
        with (
            Largest() as largest,
            torch.autograd.graph.saved_tensors_hooks(lambda x, kept=kept: kept.append(x.numel()) or x, lambda x: x),
        ):
            ContextualAttention()(features, torch.zeros(1, 1, height, 16)).sum().backward()
        elements.append(largest.elements)
        saved.append(sum(kept))
    positions = 32 * 8
    assert elements[1] <= 4.1 * elements[0]
    assert elements[1] < positions**2 / 2
    assert saved[1] <= 4.1 * saved[0]


def test_memory_kept_for_the_next_pass_carries_nothing_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither numbers, from larger maps or poisoned, nor what forbids a use: inference mode, or another thread's."""
    layer, hole = ContextualAttention(), random_hole(1, 12, 12, 0.2).float()
    features = maps(1, 3, 12, 12, dtype=torch.float32).requires_grad_()

    def work() -> list[Tensor]:
        output = layer(features, hole)
        return [output.detach(), *torch.autograd.grad(output.square().sum(), features)]

    monkeypatch.setattr(strips, "_kept", threading.local())
    expected = work()
    with torch.inference_mode():
        layer(maps(2, 3, 24, 20, dtype=torch.float32))
    buffers = strips._kept.__dict__["torch.float32"]
    assert buffers
    for buffer in buffers.values():
        buffer.fill_(torch.nan)
    with ThreadPoolExecutor(4) as pool:
        results = [work(), *(job.result() for job in [pool.submit(work) for _ in range(16)])]
    for found in results:
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


# ---------------------------------------------------------------------- the interface
def test_nearest_sampling() -> None:
    line = torch.arange(64.0).view(1, 64)
    expected = [*range(0, 31, 2), *range(33, 64, 2)]
    assert resize_nearest(line, (1, 32), "align_corners").flatten().tolist() == expected
    assert resize_nearest(line, (1, 32), "floor").flatten().tolist() == list(range(0, 64, 2))
    # 1.5 is rounded away from zero; a single position takes the first.
    assert resize_nearest(line[:, :4], (1, 3), "align_corners").flatten().tolist() == [0, 2, 3]
    assert resize_nearest(line[:, :4], (1, 1), "align_corners").flatten().tolist() == [0]
    with pytest.raises(ValueError, match="sampling must be one of align_corners, floor"):
        resize_nearest(line, (1, 2), "bilinear")


def test_a_missing_pixel_removes_the_patches_around_it() -> None:
    hole = torch.zeros(1, 1, 10, 10)
    hole[..., 4, 4] = 1
    usable = usable_patches(hole, Setting(rules_of("port"))).view(5, 5)
    assert usable.sum() == 25 - 9
    assert not usable[1:4, 1:4].any()


def test_kept_attention_of_points() -> None:
    features = maps(2, 4, 8, 12)
    layer = ContextualAttention()
    layer(features)
    assert layer.kept is None
    layer.keep_attention, layer.points = True, [(0.0, 0.0), (1.0, 1.0)]
    layer(features)
    assert layer.kept is not None
    assert layer.kept.offsets.shape == (2, 2, 4, 6)
    assert layer.kept.heat.shape == (2, 2, 4, 6)
    assert layer.kept.points == ((0.0, 0.0), (1.0, 1.0))
    weights = plain.attention(features, features, torch.ones(1, 24), layer.setting)
    torch.testing.assert_close(layer.kept.heat[:, 1].flatten(1), weights[:, -1])
    torch.testing.assert_close(layer.kept.heat[:, 0].flatten(1), weights[:, 0])


def test_flow_picture() -> None:
    wheel = colour_wheel()
    assert wheel.shape == (55, 3)
    assert wheel[[0, 15, 21, 25, 36, 49]].tolist() == [
        [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1]
    ]  # fmt: skip
    offsets = torch.zeros(2, 2, 1, 2, dtype=torch.long)
    offsets[0, 0, 0, 0], offsets[1, 0, 0, 0] = 4, 2  # rows down
    picture = flow_picture(offsets)
    assert (picture[:, :, 0, 1] == 1).all()  # no offset is white
    torch.testing.assert_close(picture[0, :, 0, 0], torch.tensor([1.0, 0.0, 0.0]))
    assert 0.4 < picture[1, 1, 0, 0] < 0.6  # half as far as the sample before, half as saturated


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"follows": "keras"}, "follows must be one of authors, port, mmagic"),
        ({"norm": "l2"}, "norm must be one of clamp, added"),
        ({"implementation": "sdpa"}, "implementation must be one of fast, plain"),
        ({"fuse": 2}, "fuse must be an odd number of at least 1, got 2"),
        ({"kernel": 0}, "kernel must be an odd number of at least 1, got 0"),
        ({"rate": 0}, "rate must be at least 1, got 0"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ContextualAttention(**options)


def test_wrong_inputs() -> None:
    layer, features = ContextualAttention(), torch.zeros(2, 3, 8, 8)
    with pytest.raises(ValueError, match="multiples of rate=2"):
        layer(torch.zeros(1, 3, 7, 8))
    with pytest.raises(ValueError, match="must have the same N and C"):
        layer(features, None, torch.zeros(2, 4, 8, 8))
    with pytest.raises(ValueError, match="the hole must be .N or 1, 1, 8, 8."):
        layer(features, torch.zeros(2, 1, 32, 32))


def test_a_backward_pass_under_autocast_is_that_of_float32() -> None:
    layer, hole = ContextualAttention(), torch.zeros(1, 1, 12, 12)
    hole[..., 2:6, 2:6] = 1
    gradients = []
    for autocast in (False, True):
        features = maps(1, 8, 12, 12).float().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            layer(features, hole).square().sum().backward()
        gradients.append(features.grad)
    assert torch.equal(*gradients)


def test_a_compiled_network_leaves_the_layer_as_it_is() -> None:
    layer = ContextualAttention()
    compiled = torch.compile(layer, backend="aot_eager")
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    for side in (16, 24, 32):
        features, hole = torch.rand(1, 4, side, side), torch.zeros(1, 1, side, side)
        hole[:, :, 4:8, 4:8] = 1
        assert torch.equal(compiled(features, hole), layer(features, hole))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] - before < 10  # its blocks are not traced
