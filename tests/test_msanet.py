"""MSA-Net: parameter counts that the paper prints, and every ablated option."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from inpaintlab.layers.gate_attention import AugmentedChannelAttention, FusingSpatialAttention
from inpaintlab.networks.msanet import Generator, parameter_counts

BARE: dict[str, Any] = {"c_a": None, "s_a": None, "cs_a": None}


@pytest.mark.parametrize(
    ("block", "structure", "total"),
    [("msau", 221_184, 221_184), ("inception_v1", 240_128, 338_432), ("inception_v3", 268_032, 326_400)],
)
def test_table_1_is_exact(block: str, structure: int, total: int) -> None:
    counts = parameter_counts(block)
    assert counts == {"structure": structure, "total": total}


def test_single_scale_has_the_size_of_the_pyramid() -> None:
    assert parameter_counts("single") == parameter_counts("msau")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 3_425_338),
        ({"mask_update": None, **BARE}, 1_431_907),
        (BARE, 1_434_787),
        ({"block": "inception_v1", "mask_update": None, **BARE}, 1_667_667),
        ({"block": "inception_v3", "mask_update": None, **BARE}, 1_643_107),
        ({"block": "single", "mask_update": None, **BARE}, 1_431_907),
        ({"s_a": None, "cs_a": None}, 2_800_003),
        ({"c_a": None, "cs_a": None}, 1_539_851),
        ({"cs_a": None}, 2_905_067),
        ({"c_a": None, "s_a": None}, 1_955_058),
        ({"n_msau": 3}, 4_657_790),
    ],
)
def test_sizes_of_the_ablated_models(options: dict[str, Any], expected: int) -> None:
    assert sum(p.numel() for p in Generator(**options).parameters()) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"mask_update": "resized"},
        {"mask_update": None},
        {"gate": "sigmoid"},
        {"n_msau": 3},
        {"c_a": "cbam", "s_a": "cbam", "cs_a": ["cbam", "cbam"]},
        {"c_a": "sca", "s_a": "sca", "cs_a": ["sca", "sca"]},
        {"c_a": "se", "cs_a": ["se", "fusing"]},
        *({"block": block, "s_a": "fusing"} for block in ("single", "inception_v1", "inception_v3")),
    ],
)
def test_every_option_runs_and_changes_the_result(options: dict[str, Any]) -> None:
    image, hole = torch.rand(1, 3, 48, 64), torch.zeros(1, 1, 48, 64)
    hole[..., 8:40, 16:48] = 1

    def output(**kw: Any) -> torch.Tensor:
        torch.manual_seed(0)
        return Generator(width=0.25, **kw)(image, hole).image

    assert output(**options).shape == image.shape
    assert not torch.allclose(output(**options), output())


@pytest.mark.parametrize("gate", ["double_sigmoid", "none"])
def test_every_gate_is_exactly_one_at_the_start(gate: str) -> None:
    """The full model starts as the model without attention, with finite pictures, whatever the seed."""
    image, hole = torch.rand(2, 3, 32, 32), torch.zeros(2, 1, 32, 32)
    hole[..., 8:24, 8:24] = 1
    for seed in range(5):
        torch.manual_seed(seed)
        network, seen = Generator(width=0.25, gate=gate), []
        layers = [m for m in network.modules() if isinstance(m, FusingSpatialAttention | AugmentedChannelAttention)]
        for layer in layers:
            layer.register_forward_hook(lambda module, inputs, output, seen=seen: seen.append((inputs[0], output)))
        output = network(image, hole)
        assert len(seen) == len(layers) == 2 * (1 + 4) + 2 * 3
        assert all(torch.equal(before, after) for before, after in seen)
        assert output.image.isfinite().all()
        assert 0.1 < float(output.features[3].detach().square().mean().sqrt()) < 2  # 0.005 with gates near 0.5


def test_mask_update_feeds_deeper_masks() -> None:
    """With MUM the masks of the deeper layers are those of the pooled mask, not of the first."""
    network = Generator(width=0.25, **BARE)
    seen: list[torch.Tensor] = []
    for down in (network.extract_down, *network.downs):
        down.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0][:, -1:]))
    hole = torch.zeros(1, 1, 32, 32)
    hole[..., 8:24, 8:24] = 1
    network(torch.rand(1, 3, 32, 32), hole)
    assert [tuple(mask.shape[-2:]) for mask in seen] == [(32, 32), (16, 16), (8, 8)]
    assert [int((mask == 0).sum()) for mask in seen] == [16 * 16, 7 * 7, 3 * 3]  # hand-pooled, 3x3 window, stride 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block": "v2"}, "block must be one of msau"),
        ({"c_a": "own"}, "channel attention must be one of augmented"),
        ({"cs_a": ["se"]}, "must name two attentions"),
        ({"mask_update": "pool"}, "mask_update must be one of max_pool, resized"),
        ({"n_msau": 4}, "n_msau must be one of 2, 3; got 4"),
    ],
)
def test_unknown_options_name_the_known_ones(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Generator(**options)
