"""The square around a hole, spectral norm, and both of DeepFill's discriminators."""

from __future__ import annotations

import pytest
import torch

from inpaintlab.data import seeds
from inpaintlab.data.holes.deepfill import JitteredBox
from inpaintlab.layers.local_crop import crop, local_box
from inpaintlab.layers.spectral_conv import SpectralConv
from inpaintlab.networks.deepfill_v1_critics import Critics, port_name
from inpaintlab.networks.sn_patch_gan import Discriminator


def holes_at(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (12, 16)) -> torch.Tensor:
    """Return holes that cover rows top to bottom and columns left to right; the ends are excluded."""
    hole = torch.zeros(len(boxes), 1, *size)
    for one, (top, left, bottom, right) in zip(hole, boxes, strict=True):
        one[:, top:bottom, left:right] = 1
    return hole


def test_local_box_by_hand() -> None:
    hole = holes_at((4, 5, 8, 9), (3, 2, 9, 4), (0, 14, 1, 16), (0, 0, 0, 0), (0, 0, 12, 16))
    top, left = local_box(hole, 6)
    assert top.tolist() == [3, 3, 0, 3, 3]  # the third is moved into the picture, the fourth has no hole
    assert left.tolist() == [4, 0, 10, 5, 5]
    with pytest.raises(ValueError, match=r"must fit into the pictures of \(12, 16\) pixels, got 13"):
        local_box(hole, 13)


def test_local_box_is_the_box_that_training_drew() -> None:
    for i in range(50):
        hole = torch.from_numpy(JitteredBox().draw(seeds.generator("b", i), "box", 64, 64)).float()[None, None]
        top, left = (int(start) for start in local_box(hole, 32))
        inside = torch.zeros_like(hole)
        inside[..., top : top + 32, left : left + 32] = 1
        assert (hole <= inside).all()
        assert torch.equal(inside * hole.flip(2).roll(2 * top + 32 - 64, 2), hole)  # symmetric in the box
        assert torch.equal(inside * hole.flip(3).roll(2 * left + 32 - 64, 3), hole)


def test_crops_start_at_a_place_per_sample_and_pass_gradients() -> None:
    picture = torch.rand(2, 3, 6, 8, requires_grad=True)
    view = crop(picture, torch.tensor([1, 3]), torch.tensor([4, 0]), 3)
    assert torch.equal(view, torch.stack([picture[0, :, 1:4, 4:7], picture[1, :, 3:6, 0:3]]))
    view.sum().backward()
    assert picture.grad.sum() == 2 * 3 * 9
    assert picture.grad[1, :, 3:6, 0:3].min() == 1


def test_spectral_norm_converges_in_training_and_is_fixed_in_evaluation() -> None:
    torch.manual_seed(0)
    conv = SpectralConv(4, 8, 3)
    for _ in range(200):
        weight = conv.normalised()
    assert torch.linalg.svdvals(weight.flatten(1))[0].item() == pytest.approx(1, abs=1e-4)
    before = {name: value.clone() for name, value in conv.eval().state_dict().items()}
    torch.testing.assert_close(conv.normalised(), weight, rtol=1e-5, atol=1e-6)
    assert all(torch.equal(value, before[name]) for name, value in conv.state_dict().items())


def test_spectral_norm_equals_that_of_torch() -> None:
    torch.manual_seed(0)
    ours = SpectralConv(3, 5, 3, rule="symmetric")
    plain = torch.nn.Conv2d(3, 5, 3, padding=1)
    plain.load_state_dict({"weight": ours.weight.detach(), "bias": ours.bias.detach()})
    theirs = torch.nn.utils.spectral_norm(plain)
    theirs.weight_u.copy_(ours.u), theirs.weight_v.copy_(ours.v)
    x = torch.rand(2, 3, 8, 8)
    # Two calls before the backward pass, as a discriminator judges fake and real pictures in one step.
    ours_y, theirs_y = (conv(x).square().sum() + conv(x.flip(2)).sum() for conv in (ours, theirs))
    ours_y.backward(), theirs_y.backward()
    torch.testing.assert_close(ours_y, theirs_y)
    torch.testing.assert_close(ours.weight.grad, theirs.weight_orig.grad)
    torch.testing.assert_close(ours.u, theirs.weight_u)


def test_spectral_norm_is_float32_under_mixed_precision() -> None:
    conv = SpectralConv(3, 8, 5, stride=2)
    with torch.autocast("cpu", torch.bfloat16):
        assert conv.normalised().dtype == torch.float32
        assert conv(torch.rand(1, 3, 8, 8)).dtype == torch.bfloat16


def test_sizes_and_parameters() -> None:
    def parameters(module: torch.nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    critics = Critics()
    assert (parameters(critics.local), parameters(critics.whole)) == (4_339_329, 2_733_441)
    assert parameters(Critics(follows="port").local) == 2_684_289
    assert parameters(Discriminator()) == 5_946_816
    assert len(Discriminator(follows="mmagic", width=0.25)(torch.rand(2, 3, 64, 64), torch.rand(2, 1, 64, 64))[0]) == 64
    assert port_name("local.convs.3.bias") == "localD.dis_conv_module.conv4.conv.bias"
    assert port_name("whole.linear.weight") == "globalD.linear.weight"
    for build, options, message in (
        (Critics, {"follows": "mmagic"}, "must be one of authors, port"),
        (Critics, {"size": 64}, "local_size must be 1 to 64, .* got 128"),
        (Discriminator, {"follows": "port"}, "must be one of authors, mmagic"),
    ):
        with pytest.raises(ValueError, match=message):
            build(**options)


@pytest.mark.parametrize("follows", ["authors", "port"])
def test_critics_of_small_pictures_judge_all_of_them_and_the_square_around_the_hole(follows: str) -> None:
    torch.manual_seed(0)
    critics = Critics(follows=follows, size=64, local_size=32, width=0.125)
    image, hole = torch.rand(2, 3, 64, 64, requires_grad=True), torch.zeros(2, 1, 64, 64)
    hole[0, :, 4:30, 6:28], hole[1, :, 32:56, 20:50] = 1, 1
    local, whole = critics(image, hole)
    assert local.shape == whole.shape == (2, 1)
    (slope,) = torch.autograd.grad(local.sum(), image)
    seen = [torch.nonzero(one.abs().sum(0)) for one in slope]
    assert [(places.min(0).values.tolist(), places.max(0).values.tolist()) for places in seen] == [
        ([1, 1], [32, 32]),
        ([28, 19], [59, 50]),
    ]
    with pytest.raises(ValueError, match=r"judges pictures of 64x64, got \(96, 96\)"):
        critics(torch.rand(1, 3, 96, 96), torch.zeros(1, 1, 96, 96))


def test_sn_patch_sees_the_hole() -> None:
    network = Discriminator(width=0.125).eval()
    image, hole = torch.rand(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)
    assert not torch.equal(network(image, hole), network(image, 1 - hole))
