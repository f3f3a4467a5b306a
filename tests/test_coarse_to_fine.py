"""The two-stage skeleton and what is built on it: sizes, padding, gates, gradients, weights in the authors' layouts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaintlab.checkpoints import weight_files
from inpaintlab.checkpoints.authors import from_released, read_released
from inpaintlab.errors import UserError
from inpaintlab.layers.same_conv import SameConv, same_pads
from inpaintlab.networks import deepfill_v1, gconv
from inpaintlab.networks.coarse_to_fine import CoarseToFine
from inpaintlab.networks.tensorflow_weights import tensorflow_name


def count(module: nn.Module | None) -> int:
    assert module is not None
    return sum(p.numel() for p in module.parameters())


def pictures(height: int = 64, width: int = 96) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    image, hole = torch.rand(2, 3, height, width), torch.zeros(2, 1, height, width)
    hole[0, :, 10:40, 20:60] = 1
    hole[1, :, 30:50, :30] = 1
    return image, hole


def test_numbers_of_parameters() -> None:
    full = deepfill_v1.Generator()
    assert [count(full.coarse), count(full.refinement), count(full)] == [1_448_227, 2_153_315, 3_601_542]
    assert count(deepfill_v1.Generator(refinement="convolution")) == 2_758_118
    assert count(deepfill_v1.Generator(refinement="copy")) == 2_896_454
    assert count(gconv.Generator()) == 4_052_478
    assert count(gconv.Generator(follows="mmagic")) == 4_414_908


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "dilation", "pads"),
    [
        (256, 3, 2, 1, (0, 1)),
        (256, 5, 2, 1, (1, 2)),
        (7, 3, 2, 1, (1, 1)),
        (7, 5, 2, 1, (2, 2)),
        (64, 3, 1, 16, (16, 16)),
        (64, 5, 1, 1, (2, 2)),
        (1, 3, 2, 1, (1, 1)),
    ],
)
def test_tensorflow_padding(side: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int]) -> None:
    assert same_pads(side, kernel, stride, dilation) == pads
    assert same_pads(side, kernel, stride, dilation, "symmetric") == (((kernel - 1) * dilation // 2),) * 2


def test_stride_two_by_hand() -> None:
    """Filters of ones on the numbers 0 ... 15 in four rows."""
    x = torch.arange(16.0).view(1, 1, 4, 4)
    expected = {
        "same": [[45, 39], [66, 50]],  # rows and columns 0-2 and 2-3
        "symmetric": [[10, 24], [51, 90]],  # 0-1 and 1-3
        "mirror": [[30, 42], [78, 90]],  # 1, 0, 1 and 1-3
    }
    for rule, values in expected.items():
        layer = SameConv(1, 1, 3, stride=2, rule=rule, activation="none")
        nn.init.ones_(layer.weight)
        nn.init.zeros_(layer.bias)
        assert layer(x)[0, 0].tolist() == values, rule


@pytest.mark.parametrize("side", [5, 6])
@pytest.mark.parametrize("rule", ["same", "symmetric", "mirror"])
def test_size_is_kept_or_halved_upwards_and_doubled(side: int, rule: str) -> None:
    x = torch.rand(1, 2, side, side + 3)
    for kernel in (3, 5):
        halved = SameConv(2, 4, kernel, stride=2, rule=rule)(x)
        assert halved.shape == (1, 4, (side + 1) // 2, (side + 4) // 2)
    assert SameConv(2, 4, dilation=2, rule=rule)(x).shape == (1, 4, side, side + 3)
    assert SameConv(2, 4, rule=rule, upsample=True)(x).shape == (1, 4, 2 * side, 2 * side + 6)


def test_the_first_half_of_a_gated_convolution_is_the_feature() -> None:
    layer = SameConv(2, 3, 1, gated=True)
    x = torch.randn(1, 2, 4, 4)
    y = F.conv2d(x, layer.weight, layer.bias)
    torch.testing.assert_close(layer(x), F.elu(y[:, :3]) * torch.sigmoid(y[:, 3:]))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"follows must be one of authors, port, mmagic"):
        deepfill_v1.Generator(follows="torch")
    with pytest.raises(ValueError, match="multiples of 8, got 60 x 64"):
        deepfill_v1.Generator(width=0.1)(torch.rand(1, 3, 60, 64), torch.zeros(1, 1, 60, 64))
    with pytest.raises(ValueError, match=r"mirror padding by 16 needs features of more than 16 pixels"):
        gconv.Generator(follows="mmagic", width=0.1)(torch.rand(1, 3, 64, 72), torch.zeros(1, 1, 64, 72))


@pytest.mark.parametrize(
    "build",
    [
        lambda: deepfill_v1.Generator(width=0.25, refinement="copy"),
        lambda: deepfill_v1.Generator(width=0.25, refinement="convolution"),
        lambda: deepfill_v1.Generator(width=0.25, attention="none"),
        lambda: deepfill_v1.Generator(width=0.25, follows="port"),
        lambda: deepfill_v1.Generator(width=0.25, follows="mmagic"),
        lambda: gconv.Generator(width=0.25, follows="mmagic"),
    ],
)
def test_variants_train_and_see_each_samples_own_hole(build: Any) -> None:
    torch.manual_seed(0)
    network = build()
    image, hole = pictures(72)
    output = network(image, hole)
    output.image.square().mean().backward()  # reaches the coarse network through the pasted result
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert next(network.coarse.parameters()).grad.abs().sum() > 0
    alone = torch.cat([network(image[i : i + 1], hole[i : i + 1]).image for i in range(2)])
    torch.testing.assert_close(output.image, alone, rtol=1e-4, atol=1e-5)


def test_both_results_are_between_0_and_1_and_clipped_ones_have_no_gradient() -> None:
    torch.manual_seed(0)
    network = deepfill_v1.Generator(width=0.25)
    with torch.no_grad():
        network.coarse.decoder.conv17.bias.fill_(9)
        network.refinement.decoder.conv17.bias.fill_(-9)
    output = network(*pictures())
    assert (output.coarse == 1).all()
    assert (output.image == 0).all()
    (output.coarse.sum() + output.image.sum()).backward()
    assert all((p.grad == 0).all() for p in network.parameters())


def test_known_pixels_and_the_coarse_result_are_what_the_refinement_sees() -> None:
    image, hole = pictures()
    network, seen = gconv.Generator(width=0.25), []
    network.refinement.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        output = network(image, hole)
    torch.testing.assert_close(seen[0], torch.where(hole > 0, 2 * output.coarse - 1, 2 * image - 1))


def test_gated_features_keep_their_size_on_request() -> None:
    """0.4 per layer with the authors' initialisation, which leaves 1e-7 of the picture after a stage."""
    spread = {}
    for initial in ("authors", "preserving"):
        torch.manual_seed(0)
        with torch.no_grad():
            spread[initial] = gconv.Generator(initial=initial).coarse(torch.randn(1, 5, 64, 64), pictures()[1]).std()
    assert spread["authors"] < 1e-5
    assert 0.01 < spread["preserving"] < 3


@pytest.mark.parametrize("build", [deepfill_v1.Generator, gconv.Generator])
def test_autocast_gives_float32_pictures_and_gradients(build: Any) -> None:
    torch.manual_seed(0)
    network = build(width=0.25)
    image, hole = pictures()
    expected = network(image, hole).image
    with torch.autocast("cpu", torch.bfloat16):
        output = network(image, hole)
    assert output.image.dtype == output.coarse.dtype == torch.float32
    torch.testing.assert_close(output.image, expected, rtol=0, atol=0.02)
    output.image.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_flow_and_heat_are_kept_on_request() -> None:
    network = deepfill_v1.Generator(width=0.25).eval()
    image, hole = pictures()
    with torch.no_grad():
        assert not network(image, hole).attention
        network.keep_attention = True
        assert {name: tuple(m.shape) for name, m in network(image, hole).attention.items()} == {"flow": (2, 2, 8, 12)}
        network.points = [(0.4, 0.4), (0.0, 0.99)]
        maps = network(image, hole).attention
    assert maps["heat"].shape == (2, 2, 8, 12)
    network.refinement.attention = None
    with torch.no_grad():
        assert not network(image, hole).attention


# Weights in the layouts in which others have them.


def tensorflow_arrays(network: CoarseToFine) -> dict[str, np.ndarray]:
    """A checkpoint of the authors, whose network works on BGR: the inverse of the import, written independently."""
    arrays = {"global_step": np.int64(7), "discriminator/conv1/kernel": np.zeros((5, 5, 3, 8), np.float32)}
    for name, weight in network.state_dict().items():
        array, theirs = weight.numpy().copy(), tensorflow_name(name)
        layer = theirs.split("/")[1]
        if layer in ("conv1", "xconv1", "pmconv1") and array.ndim == 4:
            array[:, :3] = array[:, [2, 1, 0]]
        if layer in ("conv17", "allconv17"):
            array = array[::-1].copy()
        arrays[theirs] = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
        arrays[f"{theirs}/Adam"] = np.zeros_like(arrays[theirs])
    return arrays


def same_pictures(a: nn.Module, b: nn.Module) -> bool:
    with torch.no_grad():
        return torch.equal(a(*pictures()).image, b(*pictures()).image)


@pytest.mark.parametrize(("system", "build"), [("deepfill_v1", deepfill_v1.Generator), ("gconv", gconv.Generator)])
def test_tensorflow_weights_are_turned_to_rgb(system: str, build: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build(width=0.25).eval()
    arrays = tensorflow_arrays(network)
    np.savez(tmp_path / "snapshot.npz", **arrays)
    assert same_pictures(from_released(system, tmp_path / "snapshot.npz"), network)

    found = read_released(system, tmp_path / "snapshot.npz")
    assert "global_step" in found.ignored
    assert "inpaint_net/conv1/bias/Adam" in found.ignored
    assert len(found.ignored) == len(network.state_dict()) + 2

    in_bgr = from_released(system, tmp_path / "snapshot.npz", swap_colours=False)
    image, hole = pictures()
    with torch.no_grad():
        turned = in_bgr(image.flip(1), hole).image.flip(1)
        torch.testing.assert_close(turned, network(image, hole).image, rtol=1e-4, atol=1e-5)
        assert not torch.equal(in_bgr(image, hole).image, network(image, hole).image)

    # Already (out, in, h, w): somebody converted them, and the channels are left alone.
    converted = {n: torch.as_tensor(a.transpose(3, 2, 0, 1).copy() if a.ndim == 4 else a) for n, a in arrays.items()}
    assert same_pictures(from_released(system, converted), in_bgr)
    assert same_pictures(from_released(system, converted, swap_colours=True), network)


def test_state_dicts_of_pytorch_codes() -> None:
    torch.manual_seed(0)
    port = deepfill_v1.Generator(width=0.25, follows="port").eval()
    weights = {deepfill_v1.port_name(name): value for name, value in port.state_dict().items()}
    assert "fine_generator.pmconv4_downsample.conv.weight" in weights
    assert same_pictures(from_released("deepfill_v1", weights), port)
    prefixed = {f"module.{name}": value for name, value in weights.items()}
    assert same_pictures(from_released("deepfill_v1", prefixed), port)


@pytest.mark.parametrize("prefix", ["", "generator."])
def test_mmagic_checkpoints_with_all_networks(prefix: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = gconv.Generator(follows="mmagic", width=0.5).eval()
    weights = {prefix + gconv.mmagic_name(name): value for name, value in network.state_dict().items()}
    weights[f"{prefix}stage2.contextual_attention_neck.contextual_attention.fuse_kernel"] = torch.eye(3)
    if prefix:
        weights["disc.conv1.conv.bias"] = torch.zeros(3)
    torch.save({"state_dict": weights, "meta": {"iter": 3}}, tmp_path / "mmagic.pth")
    found = from_released("gconv", tmp_path / "mmagic.pth")
    image, hole = pictures(72)
    with torch.no_grad():
        assert torch.equal(found(image, hole).image, network(image, hole).image)


def test_files_that_cannot_be_imported_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "objects.npz", weights=np.array([{}], dtype=object))
    with pytest.raises(UserError, match=r"objects\.npz cannot be read as an archive of plain arrays"):
        from_released("gconv", tmp_path / "objects.npz")
    (tmp_path / "torn.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match=r"torn\.npz cannot be read as an archive of plain arrays"):
        from_released("gconv", tmp_path / "torn.npz")
    with pytest.raises(FileNotFoundError):
        from_released("gconv", tmp_path / "nowhere.npz")
    np.savez(tmp_path / "other.npz", **{"inpaint_net/conv1/bias": np.zeros(24, np.float32)})
    with pytest.raises(UserError, match="missing: inpaint_net/allconv11/bias"):
        from_released("gconv", tmp_path / "other.npz")
    with pytest.raises(UserError, match=r"do not fit inpaintlab\.networks\.deepfill_v1; missing: coarse_generator"):
        from_released("deepfill_v1", {"netG.weight": torch.zeros(1)})
    (tmp_path / "snap-10.index").touch()
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # as if it were not installed
    for name in ("snap-10", "snap-10.index"):
        with pytest.raises(UserError, match=r"(?s)tensorflow is not installed.*savez\(\"weights\.npz\""):
            from_released("gconv", tmp_path / name)


def test_tensorflow_checkpoints_are_read_by_their_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for TensorFlow's reader, which is an optional dependency."""
    network = gconv.Generator(width=0.25).eval()
    arrays = tensorflow_arrays(network)

    class Reader:
        def get_variable_to_shape_map(self) -> Mapping[str, Any]:
            return {name: array.shape for name, array in arrays.items()}

        def get_tensor(self, name: str) -> np.ndarray:
            return arrays[name].copy()

    class Train:
        @staticmethod
        def load_checkpoint(prefix: str) -> Reader:
            assert prefix == str(tmp_path / "snap-10")
            return Reader()

    class Module:
        train = Train

    monkeypatch.setitem(sys.modules, "tensorflow", Module)
    (tmp_path / "snap-10.index").touch()
    assert same_pictures(from_released("gconv", tmp_path / "snap-10"), network)
    assert weight_files.read(tmp_path / "snap-10.index", plain=lambda _: None)["global_step"] == 7
