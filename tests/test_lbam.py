"""LBAM's network: its size, every option of the ablations, and released weights; PConv's network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from reference.recorded import FOLDER
from torch import Tensor, nn

from inpaintlab.checkpoints.authors import from_released
from inpaintlab.errors import UserError
from inpaintlab.networks import lbam, pconv

LIKE = {"learnable": lbam.LearnableMaskUpdate, "partial": lbam.PartialMaskUpdate}
ROWS: dict[str, dict[str, Any]] = {
    "full": {},
    "unlearned": {"mask_update": "partial", "reverse": "partial"},
    "unlearned, forward path only": {"mask_update": "partial"},
    "forward": {"reverse": None},
    "sigmoid": {"activation": "sigmoid", "update_activation": "sigmoid"},
    "leaky_relu": {"activation": "leaky_relu", "update_activation": "leaky_relu"},
    "relu": {"activation": "relu", "update_activation": "relu"},
    "3x3": {"mask_kernel": 3},
    "update only": {"update_activation": "sigmoid"},
    "released": lbam.FOLLOWS["authors"],
    "released 2019": lbam.FOLLOWS["authors_2019"],
}


def size(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def pictures(n: int = 2, side: int = 128) -> tuple[Tensor, Tensor]:
    torch.manual_seed(3)
    hole = torch.zeros(n, 1, side, side)
    for i in range(n):
        hole[i, :, 10 + 8 * i : 70, 20 : 90 - 5 * i] = 1
    return torch.rand(n, 3, side, side), hole


def test_sizes() -> None:
    assert size(lbam.Generator()) == 68_317_748
    assert size(lbam.Generator(batch_norm=False)) == 68_304_948
    assert size(lbam.Discriminator()) == 22_316_417
    assert size(pconv.Generator()) == 25_779_796
    assert size(pconv.Generator(levels=8)) == 32_859_732


@pytest.mark.parametrize("row", ROWS)
def test_every_row_trains_all_its_weights(row: str) -> None:
    torch.manual_seed(0)
    network = lbam.Generator(width=0.125, **ROWS[row])
    image, hole = pictures()
    output = network(image, hole).image
    assert output.shape == image.shape
    assert 0 <= output.min() <= output.max() <= 1
    output.square().mean().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name


def test_rows_build_the_networks_that_they_name() -> None:
    for row, options in ROWS.items():
        network = lbam.Generator(width=0.125, **options)
        assert isinstance(network.forward_masks[0], LIKE[options.get("mask_update", "learnable")]), row
        reverse = options.get("reverse", "learnable")
        assert len(network.reverse_masks) == (6 if reverse else 0), row
        assert all(isinstance(layer, LIKE[reverse]) for layer in network.reverse_masks), row
        kernels = {
            layer.conv.kernel_size for path in (network.forward_masks,) for layer in path if hasattr(layer, "conv")
        }
        assert kernels <= {(options.get("mask_kernel", 4),) * 2}, row
        assert network.encoder[0].conv.kernel_size == (4, 4)
        normed = any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        assert normed == options.get("batch_norm", True), row


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_update": "pool"}, "mask_update must be one of learnable, partial, max_pool"),
        ({"reverse": "no"}, "reverse must be one of learnable, partial, max_pool, resized, null"),
        ({"activation": "gelu"}, "must be one of gaussian"),
        ({"update_activation": "gelu"}, "must be one of power"),
        ({"mask_kernel": 5}, "mask_kernel must be one of 3, 4; got 5"),
        ({"output": "sigmoid"}, "must be one of tanh, abs_tanh"),
    ],
)
def test_unknown_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lbam.Generator(width=0.125, **options)


@pytest.mark.parametrize("build", [lbam.Generator, pconv.Generator])
def test_sizes_that_do_not_fit_are_refused(build: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match="multiples of 128, got 96 x 128"):
        build(width=0.125)(torch.rand(1, 3, 96, 128), torch.zeros(1, 1, 96, 128))


@pytest.mark.parametrize("build", [lbam.Generator, pconv.Generator])
def test_hole_content_changes_neither_the_output_nor_the_statistics(build: type[nn.Module]) -> None:
    image, hole = pictures()
    results = []
    for value in (0.0, float("nan"), 1e30):
        torch.manual_seed(0)
        network = build(width=0.125)
        output = network(torch.where(hole > 0, value, image), hole).image
        output.square().mean().backward()
        results.append([output, *network.buffers(), *(p.grad for p in network.parameters())])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_maps_depend_on_the_hole_alone_and_serve_many_pictures() -> None:
    network = lbam.Generator(width=0.125).eval()
    image, hole = pictures(3)
    one = hole[:1]
    with torch.no_grad():
        expected = network(image, one.repeat(3, 1, 1, 1)).image
        maps = network.attend(one)
        torch.testing.assert_close(network.paint(image, one.expand(3, -1, -1, -1), maps).image, expected)
        calls: list[int] = []
        network.forward_masks[0].register_forward_hook(lambda _m, _i, result: calls.append(len(result[0])))
        torch.testing.assert_close(network(image, one.expand(3, -1, -1, -1)).image, expected)
        network(image, hole)
    assert calls == [1, 3]


def test_attention_is_returned_when_asked_for() -> None:
    network = lbam.Generator(width=0.125).eval()
    image, hole = pictures(1)
    assert network(image, hole).attention == {}
    network.keep_attention = True
    maps = network(image, hole).attention
    assert len(maps) == 2 * (7 + 6)
    assert maps["forward_1"].shape == maps["reverse_1_mask"].shape == (1, 8, 64, 64)
    assert maps["forward_7"].shape == (1, 64, 1, 1)


@pytest.mark.parametrize("options", [{}, {"batch_norm": False}, {"reverse": None}, {"mask_update": "partial"}])
def test_mixed_precision_keeps_maps_and_products_in_float32(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = lbam.Generator(width=0.125, **options).eval()
    network.keep_attention = True
    image, hole = pictures()
    products: list[Tensor] = []
    for block in network.encoder:
        block.register_forward_hook(lambda _m, _i, result: products.append(result[1]))
    exact = network(image, hole)
    products.clear()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = network(image, hole)
    mixed.image.mean().backward()
    assert {tensor.dtype for tensor in (*products, *mixed.attention.values(), mixed.image)} == {torch.float32}
    for name, value in mixed.attention.items():
        torch.testing.assert_close(value, exact.attention[name], rtol=0, atol=0)
    torch.testing.assert_close(mixed.image, exact.image, rtol=0, atol=0.02)


def test_constrain_reaches_all_thirteen_activations() -> None:
    network = lbam.Generator(width=0.125)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith("attention.a"):
                weight.fill_(0.0)
    network.constrain()
    values = [w.item() for name, w in network.named_parameters() if name.endswith("attention.a")]
    assert values == pytest.approx([1.01] * 13)


def test_the_discriminator_has_a_column_for_each_side_of_the_hole() -> None:
    torch.manual_seed(0)
    network = lbam.Discriminator(width=0.125).eval()
    image, hole = pictures(2, 256)
    scores = network(image, hole)
    assert scores.shape == (2, 1)
    assert ((scores > 0) & (scores < 1)).all()
    seen: dict[str, Tensor] = {}
    network.known.register_forward_hook(lambda _m, inputs, _r: seen.update(known=inputs[0]))
    network.missing.register_forward_hook(lambda _m, inputs, _r: seen.update(missing=inputs[0]))
    network(image, hole)
    torch.testing.assert_close(seen["known"] + seen["missing"], image)
    assert (seen["known"] * hole == 0).all()


def test_pconv_can_freeze_the_batch_norm_of_its_encoder() -> None:
    network = pconv.Generator(width=0.125, freeze_encoder_norm=True)
    image, hole = pictures()
    before = {name: value.clone() for name, value in network.named_buffers()}
    for _ in range(2):  # as built, and after switching modes
        network(image, hole).image.mean().backward()
        network.eval().train()
    changed = {name for name, value in network.named_buffers() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("net.decoder") for name in changed)
    frozen = {name for name, weight in network.named_parameters() if not weight.requires_grad}
    assert frozen == {f"net.encoder.{i}.norm.{part}" for i in range(1, 7) for part in ("weight", "bias")}
    thawed = pconv.Generator(width=0.125)
    thawed.load_state_dict(network.state_dict())  # the second phase starts with the weights of the first


# ---------------------------------------------------------------------- released weights
SMALL = {"width": 0.125}


def released(layout: str = "generator_bn_eval_128", **options: Any) -> dict[str, Tensor]:
    """Return the weights of a small network under the names of a recorded case."""
    torch.manual_seed(0)
    weights = {lbam.authors_name(k): v for k, v in lbam.Generator(**SMALL, **options).state_dict().items()}
    assert set(weights) == set(json.loads((FOLDER / f"lbam/{layout}.json").read_text())["params"])
    return weights


def test_released_weights_come_from_a_file_or_from_a_wrapped_network(tmp_path: Path) -> None:
    weights = released("generator_head_128", batch_norm=False)
    torch.save({f"module.{name}": value for name, value in weights.items()}, tmp_path / "theirs.pth")
    loaded = from_released("lbam", tmp_path / "theirs.pth", **SMALL)
    assert not loaded.training
    assert loaded.output_activation == "tanh"
    torch.testing.assert_close(loaded.decoder[6 - 1].conv.weight, weights["dc6.conv.weight"], rtol=0, atol=0)


def test_batch_norm_in_the_weights_means_the_output_of_2019() -> None:
    assert from_released("lbam", released(), **SMALL).output_activation == "abs_tanh"
    assert from_released("lbam", released(), output="tanh", **SMALL).output_activation == "tanh"


def test_released_weights_are_clamped_as_the_released_forward_pass_does() -> None:
    weights = released() | {"ec2.conv.activationFuncG_A.a": torch.tensor(7.0)}
    loaded = from_released("lbam", weights, **SMALL)
    assert loaded.forward_masks[1].attention.a.item() == 6.0
    assert weights["ec2.conv.activationFuncG_A.a"].item() == 7.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ec3.conv.conv.weight": None}, "missing: ec3.conv.conv.weight"),
        ({"ec9.extra": torch.zeros(1)}, "unknown: ec9.extra"),
        (
            {"dc7.weight": torch.zeros(16, 3, 3, 3)},
            r"other shape: dc7.weight \(16, 3, 3, 3\) for \(16, 3, 4, 4\)",
        ),
        ({"dc2.bn.running_var": None}, "missing: dc2.bn.running_var"),
        ({"ec1.bn.weight": torch.ones(64)}, "unknown: ec1.bn.weight"),
        ({"output.weight": torch.zeros(16, 3, 4, 4)}, "unknown: output.weight"),
        ({"epoch": 3}, "must map names to tensors"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    weights = {name: value for name, value in (released() | change).items() if value is not None}
    with pytest.raises(UserError, match=message):
        from_released("lbam", weights, **SMALL)


def test_a_wrong_system_or_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="system must be one of .*lbam"):
        from_released("msanet", {})
    with pytest.raises(FileNotFoundError, match="no such checkpoint"):
        from_released("lbam", tmp_path / "none.pth")
    (tmp_path / "torn.pth").write_bytes(b"PK torn")
    with pytest.raises(UserError, match="cannot be read"):
        from_released("lbam", tmp_path / "torn.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UserError, match=r"list.pth is not a state dict"):
        from_released("lbam", tmp_path / "list.pth")
