"""The fills without training: known values, and what every generator promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from inpaintlab.errors import UserError
from inpaintlab.image import inpaint
from inpaintlab.networks.fills import FILLS, GREY, Harmonic, MeanColour, Nearest, make_fill

every_fill = pytest.mark.parametrize("name", sorted(FILLS))


def pictures(height: int = 24, width: int = 31) -> tuple[Tensor, Tensor]:
    """Two smooth pictures with a different hole each."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 3, 4, 5, generator=generator)
    image = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    hole = torch.zeros(2, 1, height, width)
    hole[0, :, 5:12, 8:20] = 1
    hole[1, :, 15:, :6] = 1  # reaches the border
    hole[1, :, 3, 4:25] = 1
    return image, hole


@every_fill
def test_known_pixels_stay_and_the_content_of_the_hole_has_no_effect(name: str) -> None:
    image, hole = pictures()
    fill = make_fill(name).eval()
    filled = fill(image, hole).image
    assert torch.equal(torch.where(hole > 0, 0.0, filled), torch.where(hole > 0, 0.0, image))
    spoilt = fill(torch.where(hole > 0, torch.nan, image), hole).image
    assert torch.equal(filled, spoilt)
    assert filled.isfinite().all()
    assert torch.equal(inpaint(fill, image, hole), filled.clamp(0, 1))


@every_fill
def test_pictures_of_a_batch_do_not_depend_on_each_other(name: str) -> None:
    image, hole = pictures()
    fill = make_fill(name)
    together = fill(image, hole).image
    assert torch.equal(together, torch.cat([fill(image[i : i + 1], hole[i : i + 1]).image for i in range(2)]))


@every_fill
def test_fills_are_better_than_grey(name: str) -> None:
    image, hole = pictures()
    image = 0.3 * image + 0.7  # the mean colour is far from grey, too
    missing = hole.expand_as(image) > 0
    error = (make_fill(name)(image, hole).image - image)[missing].abs().mean()
    assert error < (GREY - image)[missing].abs().mean()


@every_fill
def test_no_hole_and_nothing_but_hole(name: str) -> None:
    image, _ = pictures()
    fill = make_fill(name)
    assert torch.equal(fill(image, torch.zeros(2, 1, 24, 31)).image, image)
    assert torch.equal(fill(image, torch.ones(2, 1, 24, 31)).image, torch.full_like(image, GREY))


def test_mean_colour_is_that_of_the_known_pixels() -> None:
    image, hole = pictures()
    filled = MeanColour()(image, hole).image
    known = image[0][:, hole[0, 0] == 0].mean(1)
    torch.testing.assert_close(filled[0, :, 6, 9], known)


def test_nearest_takes_a_known_pixel_at_the_least_distance() -> None:
    image, hole = pictures()
    filled = Nearest()(image, hole).image
    known = torch.nonzero(hole[0, 0] == 0)
    for place in torch.nonzero(hole[0, 0]):
        distances = (known - place).square().sum(1)
        candidates = image[0][:, *known[distances == distances.min()].unbind(1)]
        assert (candidates == filled[0, :, *place].unsqueeze(1)).all(0).any()


def test_harmonic_solves_the_laplace_equation() -> None:
    image, hole = pictures()
    filled = Harmonic()(image.double(), hole).image.numpy()
    padded = np.pad(filled, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=np.nan)
    around = [padded[..., 1:-1, :-2], padded[..., 1:-1, 2:], padded[..., :-2, 1:-1], padded[..., 2:, 1:-1]]
    means = np.nanmean(np.stack(around), 0)  # neighbours outside the picture are left out
    missing = np.broadcast_to(hole.numpy() > 0, filled.shape)
    np.testing.assert_allclose(filled[missing], means[missing], atol=1e-12)


def test_harmonic_continues_a_linear_ramp_exactly() -> None:
    rows, columns = torch.meshgrid(*(torch.linspace(0, 1, n, dtype=torch.float64) for n in (20, 30)), indexing="ij")
    image = torch.stack([rows, columns, (rows + columns) / 2])[None]
    hole = torch.zeros(1, 1, 20, 30)
    hole[..., 4:15, 6:22] = 1
    torch.testing.assert_close(Harmonic()(image, hole).image, image, rtol=0, atol=1e-12)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UserError, match="method must be one of mean_colour, .*; got 'telia'; did you mean telea"):
        make_fill("telia")
