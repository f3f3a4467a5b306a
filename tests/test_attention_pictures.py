"""Flow and heat pictures of patch attention, and the pixels they are drawn for."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from inpaintlab.batch import Output
from inpaintlab.image import predict
from inpaintlab.layers.contextual import ContextualAttention
from inpaintlab.networks.generator import InpaintingGenerator
from inpaintlab.visualization import attention_sheet as grids
from inpaintlab.visualization import patch_attention as pictures


class Copy(InpaintingGenerator):
    """Contextual attention on the picture itself."""

    multiple = 8
    shows_attention = shows_points = True

    def __init__(self) -> None:
        super().__init__()
        self.layer = ContextualAttention()

    def forward(self, image: Tensor, hole: Tensor) -> Output:
        self.layer.keep_attention, self.layer.points = self.keep_attention, self.points
        filled = self.layer(image * (1 - hole), hole)
        kept = self.layer.kept
        maps = {"flow": kept.offsets.float(), "heat": kept.heat} if self.keep_attention and kept else {}
        return Output(image=filled, attention=maps)


def test_the_flow_of_a_map_that_looks_at_itself_is_white() -> None:
    assert (pictures.flow_picture(np.zeros((2, 3, 4), np.float32)) == 255).all()
    right = np.zeros((2, 3, 4), np.float32)
    right[1, 1, 1] = 5
    drawn = pictures.flow_picture(right)
    assert drawn.shape == (3, 4, 3)
    assert drawn[1, 1].tolist() != [255] * 3
    assert (np.delete(drawn.reshape(12, 3), 5, 0) == 255).all()


def test_heat_is_yellow_where_the_attention_is_and_darkens_the_rest() -> None:
    picture, heat = np.full((40, 60, 3), 200, np.uint8), np.zeros((4, 6), np.float32)
    heat[1, 4] = 0.5
    drawn = pictures.heat_picture(picture, heat, (35, 5))
    assert drawn[15, 45].tolist() == [255, 255, 0]
    assert drawn[25, 25].tolist() == [80] * 3
    assert drawn[35, 5].tolist() != [80] * 3  # the cross


def test_pixels_are_chosen_well_inside_the_hole_and_apart() -> None:
    hole = np.zeros((50, 80), np.uint8)
    hole[10:31, 10:71] = 1
    chosen = pictures.choose_pixels(hole, 3)
    assert len(set(chosen)) == 3
    assert chosen[0][0] == 20
    assert all(13 <= y <= 27 and 13 <= x <= 67 for y, x in chosen)
    assert max(x for _, x in chosen) - min(x for _, x in chosen) > 40
    assert pictures.choose_pixels(np.zeros((5, 5), np.uint8)) == ()
    assert pictures.choose_pixels(np.eye(1, 9, dtype=np.uint8), 3) == ((0, 0),)


def test_the_sheet_has_the_flow_and_a_picture_for_each_pixel_of_the_unpadded_picture() -> None:
    torch.manual_seed(0)
    image, hole = torch.rand(1, 3, 42, 48), torch.zeros(1, 1, 42, 48)  # padded to 48 rows inside
    hole[..., 20:28, 20:28] = 1
    generator = Copy()

    def maps(y: int, x: int) -> dict[str, Tensor]:
        point = ((2 * y + 0.5) / 48, (2 * x + 0.5) / 48)
        with grids.keeping_attention(generator, [point]):
            return predict(generator, image, hole).attention

    first = maps(12, 12)
    assert {name: tuple(value.shape) for name, value in first.items()} == {
        "flow": (1, 2, 21, 24),
        "heat": (1, 1, 21, 24),
    }
    assert (first["heat"][0, 0, 10:14, 10:14] == 0).all()  # nothing missing is looked at
    flow = first["flow"][0]
    y, x = next(p for p in np.ndindex(21, 24) if hole[0, 0, 2 * p[0], 2 * p[1]] and p[0] + flow[0][p] < 21)
    most = np.unravel_index(int(maps(y, x)["heat"][0, 0].argmax()), (21, 24))
    assert tuple(flow[:, y, x].tolist()) == (most[0] - y, most[1] - x)
    assert generator.points is None
    assert not generator.keep_attention
    _, sheet = grids.draw_attention(generator, image, hole, [(24, 24), (21, 26)])
    cell = grids.SIDE + grids.GAP
    assert sheet.width == grids.LABEL + 2 * cell
