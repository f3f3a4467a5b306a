"""Holes lie in their bin; mask folders are read as configured and refused if they look inverted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inpaintlab.data import seeds
from inpaintlab.data.files.images import BadPicture
from inpaintlab.data.holes import bins
from inpaintlab.data.holes.box import Box
from inpaintlab.data.holes.deepfill import JitteredBox, StrokesAndBox
from inpaintlab.data.holes.free_form import FreeForm
from inpaintlab.data.holes.mask_files import read_hole
from inpaintlab.data.holes.mask_folder import MaskFolder
from inpaintlab.data.holes.source import Several
from inpaintlab.errors import UserError


@pytest.mark.parametrize("size", [(256, 256), (64, 96), (32, 32), (16, 16)])
@pytest.mark.parametrize("bin", bins.IRREGULAR)
def test_free_form_holes_lie_in_their_bin(bin: str, size: tuple[int, int]) -> None:
    low, high = bins.limits(bin)
    source = FreeForm()
    shares = []
    for i in range(40):
        hole = source.draw(seeds.generator("t", i), bin, *size)
        assert hole.shape == size
        assert set(np.unique(hole)) <= {0, 1}
        shares.append(hole.mean())
    assert low < min(shares) <= max(shares) <= high
    assert max(shares) - min(shares) > 0.4 * (high - low)  # spread over the bin, not only at its limit


def test_very_narrow_bins_are_hit_too() -> None:
    source = FreeForm(["0.2-0.2005"])
    for i in range(20):
        assert 0.2 < source.draw(seeds.generator(i), "0.2-0.2005", 64, 64).mean() <= 0.2005
    with pytest.raises(ValueError, match="the bin 0.2-0.2005 contains no hole of a 16x16 picture"):
        FreeForm(["0.2-0.2005"]).draw(seeds.generator(0), "0.2-0.2005", 16, 16)


def test_same_seed_same_hole_other_seed_other_hole() -> None:
    draw = [FreeForm().draw(seeds.generator("h", i), "0.2-0.3", 64, 64) for i in (0, 0, 1)]
    assert np.array_equal(draw[0], draw[1])
    assert not np.array_equal(draw[0], draw[2])


def test_bins_are_open_below_and_closed_above() -> None:
    assert bins.find(0.1, bins.IRREGULAR) == "0.01-0.1"
    assert bins.find(0.1001, bins.IRREGULAR) == "0.1-0.2"
    assert bins.find(0.01, bins.IRREGULAR) is None
    assert bins.find(0.7, bins.IRREGULAR) is None
    for name in ("0.3-0.2", "a-b", "0.1", "0.5-1.5"):
        with pytest.raises(ValueError, match="low-high"):
            bins.limits(name)


def test_boxes() -> None:
    rng = np.random.default_rng(0)
    hole = Box().draw(rng, "center", 256, 256)
    assert hole[64:192, 64:192].all()
    assert hole.sum() == 128 * 128
    places = {tuple(np.argwhere(Box(0.25, "random", "fixed25").draw(rng, "fixed25", 64, 96))[0]) for _ in range(30)}
    assert len(places) > 20
    with pytest.raises(ValueError, match="larger than the shorter side"):
        Box(0.9).draw(rng, "center", 20, 200)
    with pytest.raises(ValueError, match="must be one of center, random"):
        Box(place="middle")


@pytest.mark.parametrize(("size", "box", "most"), [(256, 128, 16), (64, 32, 4)])
def test_jittered_boxes_are_symmetric_in_a_box_that_fits(size: int, box: int, most: int) -> None:
    shrinks, starts = set(), set()
    for i in range(300):
        hole = JitteredBox().draw(seeds.generator("j", i), "box", size, size)
        assert hole.dtype == np.uint8
        places = np.argwhere(hole)
        (top, left), (bottom, right) = places.min(0), places.max(0) + 1
        assert hole[top:bottom, left:right].all()
        dy, dx = (box - (bottom - top)) // 2, (box - (right - left)) // 2
        assert (bottom - top + 2 * dy, right - left + 2 * dx) == (
            box,
            box,
        )  # reduced by the same number on opposite sides
        shrinks |= {dy, dx}
        starts |= {top - dy, left - dx}
    assert shrinks == set(range(most + 1))
    assert min(starts) == 0
    assert size - box - 3 <= max(starts) < size - box  # the upper end is excluded, as in the authors' code
    for options, message in (
        ({"box": 1.0}, "box must be in"),
        ({"shrink": 0.25}, "got 0.25"),
        ({"shrink": -0.1}, "got -0.1"),
    ):
        with pytest.raises(ValueError, match=message):
            JitteredBox(**options)


@pytest.mark.parametrize("size", [256, 64])
def test_strokes_and_box_hold_a_box_and_scale_with_the_picture(size: int) -> None:
    shares, source = [], StrokesAndBox(name="train")
    assert source.bins == ("train",)
    for i in range(200):
        hole = source.draw(seeds.generator("s", i), "train", size, size)
        box = JitteredBox().draw(seeds.generator("s", i), "box", size, size)
        assert (hole >= box).all()
        assert set(np.unique(hole)) == {0, 1}
        assert np.array_equal(hole, source.draw(seeds.generator("s", i), "train", size, size))
        shares.append(hole.mean() - box.mean())
    assert min(shares) < 0.05
    assert max(shares) > 0.2
    assert np.mean(shares) == pytest.approx(0.12, abs=0.02)  # the same at both sizes


def test_several_sources_keep_their_bins() -> None:
    both = Several([FreeForm(["0.1-0.2"]), Box(0.25, "random", "fixed25")])
    assert both.bins == ("0.1-0.2", "fixed25")
    assert both.draw(np.random.default_rng(0), "fixed25", 64, 64).mean() == 0.25
    with pytest.raises(ValueError, match="two hole sources have a bin 'center'"):
        Several([Box(), Box()])


# ---------------------------------------------------------------------- mask files
def write_masks(folder: Path, shares: list[float], *, black_hole: bool = False, size: int = 64) -> Path:
    folder.mkdir(exist_ok=True)
    for i, share in enumerate(shares):
        hole = np.zeros((size, size), np.uint8)
        hole.reshape(-1)[: round(share * size * size)] = 255
        Image.fromarray(255 - hole if black_hole else hole).save(folder / f"{i:03d}.png")
    return folder


@pytest.mark.parametrize("black_hole", [False, True])
def test_either_polarity(tmp_path: Path, black_hole: bool) -> None:
    write_masks(tmp_path / "m", [0.05, 0.15, 0.25, 0.8], black_hole=black_hole)
    source = MaskFolder(
        tmp_path / "m", polarity="black_hole" if black_hole else "white_hole", bins=["0.1-0.2", "0.2-0.3"]
    )
    hole = source.draw(np.random.default_rng(0), "0.2-0.3", 64, 64)
    assert hole.mean() == pytest.approx(0.25, abs=0.001)
    assert hole[0, 0] == 1


def test_wrong_polarity_is_refused_with_the_right_one(tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "m", [0.05, 0.15, 0.25])
    with pytest.raises(UserError, match=r"3 of 3 masks are more than 60 % hole .*masks.polarity=white_hole"):
        MaskFolder(folder, polarity="black_hole").prepare(64, 64)
    MaskFolder(folder, polarity="black_hole", check_polarity=False, bins=None).prepare(64, 64)


def test_threshold_is_what_the_config_says(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 100, 127, 128, 255]], np.uint8)).save(tmp_path / "m.png")
    assert read_hole(tmp_path / "m.png").tolist() == [[0, 0, 0, 1, 1]]
    assert read_hole(tmp_path / "m.png", threshold=0.002).tolist() == [[0, 1, 1, 1, 1]]
    assert read_hole(tmp_path / "m.png", "black_hole", 1.0).tolist() == [[1, 1, 1, 1, 0]]
    for options in ({"polarity": "auto"}, {"threshold": 0.0}):
        with pytest.raises(ValueError, match="must be one of|must be in"):
            read_hole(tmp_path / "m.png", **options)  # type: ignore[arg-type]


def test_masks_are_resized_and_measured_at_the_final_size(tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "m", [0.15, 0.25], size=128)
    source = MaskFolder(folder, bins=["0.1-0.2"])
    hole = source.draw(np.random.default_rng(0), "0.1-0.2", 32, 32)
    assert hole.shape == (32, 32)
    assert 0.1 < hole.mean() <= 0.2
    with pytest.raises(BadPicture, match="a mask of 128x128 does not fit pictures of 32x64"):
        source.prepare(32, 64)


def test_empty_bin_and_any_bin(tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "m", [0.15, 0.0])
    with pytest.raises(UserError, match="none of the 2 masks has a hole in the bin 0.2-0.3 at 64x64"):
        MaskFolder(folder, bins=["0.2-0.3"]).draw(np.random.default_rng(0), "0.2-0.3", 64, 64)
    source = MaskFolder(folder, bins=None)
    assert source.bins == ("all",)
    assert source.draw(np.random.default_rng(0), "all", 64, 64).any()
    with pytest.raises(UserError, match="masks.root is not set"):
        MaskFolder(None)
    with pytest.raises(FileNotFoundError, match="folder of masks does not exist"):
        MaskFolder(tmp_path / "nowhere")
