"""Sheets of attention maps: what is drawn where, cropping of padded maps, generators without maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from inpaintlab.batch import Output
from inpaintlab.errors import UserError
from inpaintlab.image import predict
from inpaintlab.networks import lbam, msanet
from inpaintlab.networks.generator import InpaintingGenerator
from inpaintlab.visualization import attention_sheet as grids


class Ramp(InpaintingGenerator):
    """Returns two maps, at a half and at a quarter of the resolution, that grow from left to right."""

    multiple = 16
    shows_attention = True

    def forward(self, image: Tensor, hole: Tensor) -> Output:
        n, _, height, width = image.shape
        ramp = torch.arange(width, dtype=torch.float32).expand(n, 2, height, width)
        maps = {"seen_1": ramp[..., ::2, ::2], "seen_2": ramp[..., ::4, ::4], "context": hole}
        return Output(image=image, attention=maps if self.keep_attention else {})


def test_names_become_rows_and_columns() -> None:
    assert grids.split_name("forward_1") == ("forward map", "layer 1")
    assert grids.split_name("reverse_12_mask") == ("reverse mask", "layer 12")
    assert grids.split_name("contextual_attention") == ("contextual attention", "")


def test_grey_levels_span_the_values_of_a_map() -> None:
    values = np.array([[-1.0, 0.0], [2.0, 4.0]], np.float32)
    assert grids.grey(values).tolist() == [[0, 51], [153, 255]]
    assert grids.grey(np.full((2, 3), 7.0, np.float32)).tolist() == [[128] * 3] * 2
    with pytest.raises(UserError, match="contains NaN or infinity"):
        grids.grey(np.array([[np.nan, 1.0]], np.float32))


def test_maps_of_a_padded_picture_are_cut_to_its_share() -> None:
    generator = Ramp()
    image, hole = torch.rand(1, 3, 40, 21), torch.ones(1, 1, 40, 21)
    with grids.keeping_attention(generator):
        output = predict(generator, image, hole)  # 48 x 32 inside
    assert torch.equal(output.image, image)
    assert {name: tuple(value.shape[-2:]) for name, value in output.attention.items()} == {
        "seen_1": (20, 11),
        "seen_2": (10, 6),
        "context": (40, 21),
    }
    assert generator.keep_attention is False


def test_the_sheet_shows_the_mean_over_channels_at_one_size() -> None:
    generator = Ramp()
    image, hole = torch.rand(1, 3, 32, 64), torch.ones(1, 1, 32, 64)
    filled, sheet = grids.draw_attention(generator, image, hole)
    assert torch.equal(filled, image)
    pixels = np.asarray(sheet.convert("L"))
    assert sheet.height > 2 * grids.SIDE // 2
    for column in range(2):  # row "seen map": black on the left, white on the right, whatever the resolution
        left = grids.LABEL + column * (grids.SIDE + grids.GAP)
        middle = pixels[2 * grids.LINE + grids.SIDE // 4, left : left + grids.SIDE].astype(int)
        assert middle[0] == 0
        assert middle[-1] == 255
        assert (np.diff(middle) >= 0).all()
    mean = torch.stack([torch.zeros(4, 4), torch.eye(4)])[None]
    drawn = grids.sheet({"a_1": mean}).crop((grids.LABEL, 2 * grids.LINE, grids.LABEL + 1, 2 * grids.LINE + 1))
    assert drawn.getpixel((0, 0)) == (255, 255, 255)


def test_flags_are_restored_and_systems_without_maps_refused() -> None:
    generator = Ramp()
    with grids.keeping_attention(generator, [(0.5, 0.5)]):
        assert generator.keep_attention
        assert generator.points is None  # it shows none
    with pytest.raises(RuntimeError, match="stop"), grids.keeping_attention(generator):
        raise RuntimeError("stop")
    assert generator.keep_attention is False
    with pytest.raises(UserError, match="MSA-Net has no attention maps"):
        grids.require(msanet.Generator(width=0.125), "MSA-Net")
    with pytest.raises(UserError, match="no attention maps"):
        grids.sheet({})


@pytest.mark.parametrize(("reverse", "rows"), [("learnable", 4), (None, 2)])
def test_lbam_has_a_row_per_kind_of_map(reverse: str | None, rows: int) -> None:
    generator = lbam.Generator(width=0.125, reverse=reverse).eval()
    hole = torch.zeros(1, 1, 128, 128)
    hole[..., 30:90, 40:100] = 1
    _, sheet = grids.draw_attention(generator, torch.rand(1, 3, 128, 128), hole)
    cell = grids.SIDE + grids.GAP
    assert sheet.size == (grids.LABEL + 7 * cell, 2 * grids.LINE + rows * (cell + 2 * grids.LINE))
