"""Mask sets are binned as configured and measured at the final size; shared masks are refused unless allowed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import trees
from PIL import Image

from inpaintlab.data import seeds
from inpaintlab.data.datamodule import InpaintingData
from inpaintlab.data.datasets.folder import Folder
from inpaintlab.data.geometry import Geometry
from inpaintlab.data.holes import bins
from inpaintlab.data.holes.box import Box
from inpaintlab.data.holes.free_form import GROWTH, FreeForm
from inpaintlab.data.holes.mask_files import touches_border
from inpaintlab.data.holes.mask_folder import MaskFolder
from inpaintlab.data.holes.overlap import masks_are_shared
from inpaintlab.data.holes.quick_draw import QuickDraw
from inpaintlab.data.holes.raw_masks import RawMasks
from inpaintlab.data.holes.source import Hole, HoleSource, Several
from inpaintlab.errors import UserError


# ---------------------------------------------------------------------- the test set
def test_bins_by_index_follow_the_order_of_the_files(tmp_path: Path) -> None:
    source = MaskFolder(trees.nvidia_test(tmp_path, 3), binning="index")
    for place, name in enumerate(bins.IRREGULAR):
        assert source.measured(64, 64).by_bin[name].tolist() == list(range(6 * place, 6 * place + 6))
    subset = MaskFolder(tmp_path, bins=["0.3-0.4"], binning="index")
    assert subset.measured(64, 64).by_bin["0.3-0.4"].tolist() == list(range(18, 24))
    trees.mask(tmp_path / "00036.png", 0.3)
    with pytest.raises(UserError, match=r"masks.binning=index needs masks numbered from 0 .* not these 37"):
        MaskFolder(tmp_path, binning="index").prepare(64, 64)


def test_measured_and_native_shares_differ_at_the_limits(tmp_path: Path) -> None:
    thin = np.zeros((128, 128), np.uint8)
    thin[1::2, :26] = 255  # every second row: at half the size, nearest neighbour keeps all or none of them
    Image.fromarray(thin).save(tmp_path / "0.png")
    native = float((thin > 0).mean())
    for binning in ("native", "measured"):
        measured = MaskFolder(tmp_path, binning=binning).measured(64, 64)
        assert measured.native[0] == pytest.approx(native)
        share = measured.native[0] if binning == "native" else measured.share[0]
        name = bins.find(share, bins.IRREGULAR)
        assert [key for key, found in measured.by_bin.items() if len(found)] == ([name] if name else [])
    assert abs(measured.share[0] - native) > 0.05


def test_border_condition_is_measured(tmp_path: Path) -> None:
    trees.nvidia_test(tmp_path, 2)
    everything = MaskFolder(tmp_path).measured(64, 64)
    assert everything.touching.tolist() == [True, True, False, False] * 6
    chosen = {
        border: MaskFolder(tmp_path, border=border).measured(64, 64).by_bin["0.1-0.2"].tolist()
        for border in ("touching", "clear")
    }
    assert chosen == {"touching": [4, 5], "clear": [6, 7]}
    hole = np.zeros((512, 512), np.uint8)
    hole[50:462, 50:462] = 1
    assert not touches_border(hole)
    hole[49, 300] = 1
    assert touches_border(hole)


def test_masks_in_memory_are_those_of_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trees.nvidia_test(tmp_path, 1, 70)  # 70 x 70 is not a multiple of 8 pixels
    draws = []
    for kept in (1 << 20, 0):
        monkeypatch.setattr("inpaintlab.data.holes.mask_folder.KEPT", kept)
        source = MaskFolder(tmp_path)
        assert (source.measured(35, 35).bank is None) == (kept == 0)
        draws.append([source.draw(seeds.generator(i), "0.2-0.3", 35, 35) for i in range(5)])
    assert np.array_equal(draws[0], draws[1])


def test_fixed_lists_and_masks_by_name(tmp_path: Path) -> None:
    source = MaskFolder(trees.nvidia_test(tmp_path, 2))
    first = [source.fixed(n, "0.1-0.2", 64, 64) for n in range(9)]
    assert all(np.array_equal(first[n], first[n + 4]) for n in range(5))
    assert not np.array_equal(first[0], first[1])
    name, hole = source.named("00005")
    assert (name, np.array_equal(hole, first[1])) == ("00005.png", True)
    with pytest.raises(UserError, match="expected one mask named 'nothing' in .*, found 0"):
        source.named("nothing")
    drawn = FreeForm()
    assert np.array_equal(drawn.fixed(3, "0.1-0.2", 32, 32), drawn.fixed(3, "0.1-0.2", 32, 32))
    assert not np.array_equal(drawn.fixed(3, "0.1-0.2", 32, 32), drawn.fixed(4, "0.1-0.2", 32, 32))
    with pytest.raises(UserError, match="FreeForm has no mask files"):
        drawn.named("a")


def test_options_are_checked(tmp_path: Path) -> None:
    trees.nvidia_test(tmp_path, 1)
    for options in ({"polarity": "auto"}, {"binning": "name"}, {"border": "yes"}, {"threshold": 2}):
        with pytest.raises(ValueError, match="must be one of|must be in"):
            MaskFolder(tmp_path, **options)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- the training set
def raw(folder: Path, count: int = 5) -> Path:
    for i in range(count):
        line = np.full((128, 128), 255, np.uint8)
        cv2.line(line, (20 + 10 * i, 30), (100, 90), (0,), 2)
        cv2.line(line, (5, 120), (9, 120), (170,), 3)  # lighter than 0.6 of white, so not a hole
        folder.mkdir(exist_ok=True)
        Image.fromarray(line).save(folder / f"{i}.png")
    return folder


def test_raw_masks_are_dilated_by_the_stated_pixels(tmp_path: Path) -> None:
    point = np.full((101, 101), 255, np.uint8)
    point[50, 50] = 100
    Image.fromarray(point).save(tmp_path / "0.png")
    for brush in (9, 25, 49):
        source = RawMasks(tmp_path, dilation=(brush, brush), rotate=False, shift=0.0)
        hole = source.draw(np.random.default_rng(0), "all", 101, 101)
        assert hole[50].sum() == hole[:, 50].sum() == brush
        assert hole.sum() == pytest.approx(np.pi * brush**2 / 4, rel=0.12)


def test_raw_masks_are_turned_shifted_and_reproducible(tmp_path: Path) -> None:
    source = RawMasks(raw(tmp_path / "m"))
    source.prepare(128, 128)
    draws = [source.draw(seeds.generator(i), "all", 128, 128) for i in (0, 0, 1, 2)]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    assert all(set(np.unique(hole)) == {0, 1} for hole in draws)
    binned = RawMasks(tmp_path / "m", bins=["0.1-0.2", "0.2-0.3"])
    for i in range(10):
        assert 0.1 < binned.draw(seeds.generator(i), "0.1-0.2", 64, 64).mean() <= 0.2  # at the final size
    with pytest.raises(UserError, match="none of 500 attempts with 5 training masks"):
        RawMasks(tmp_path / "m", bins=["0.9-1.0"]).draw(seeds.generator(0), "0.9-1.0", 64, 64)


def test_raw_masks_of_the_other_polarity_are_refused(tmp_path: Path) -> None:
    raw(tmp_path / "m")
    with pytest.raises(UserError, match=r"5 of 5 training masks are more than 60 % hole.*train_polarity=black_hole"):
        RawMasks(tmp_path / "m", polarity="white_hole").prepare(128, 128)
    with pytest.raises(UserError, match="masks.train_root is not set"):
        RawMasks(None)


# ---------------------------------------------------------------------- drawn holes
@pytest.mark.parametrize("bin", bins.IRREGULAR)
def test_quick_draw_holes_lie_in_their_bin(bin: str) -> None:
    low, high = bins.limits(bin)
    for i in range(10):
        assert low < QuickDraw().draw(seeds.generator("q", i), bin, 128, 128).mean() <= high


def test_quick_draw_holes_are_thinner_than_free_form_ones() -> None:
    def depth(source: HoleSource) -> float:
        holes = [source.draw(seeds.generator("q", i), "0.1-0.2", 256, 256) for i in range(20)]
        return float(np.mean([cv2.distanceTransform(hole, cv2.DIST_L2, 5)[hole > 0].mean() for hole in holes]))

    assert depth(QuickDraw()) < 0.6 * depth(FreeForm())


class Slow(FreeForm):
    """FreeForm in its plainest form: every shape is drawn into a copy and counted."""

    def draw(self, rng: np.random.Generator, bin: str, height: int, width: int) -> Hole:
        low, high = self.limits[bin]
        least, most = int(low * height * width) + 1, int(high * height * width)
        target = int(rng.integers(least, most + 1))
        hole, scale = np.zeros((height, width), np.uint8), 1.0
        for shape in self.shapes(rng, height, width, 1 + GROWTH * target / (height * width)):
            more = hole.copy()
            shape.paint(more, scale)
            if more.sum() > most:
                scale /= 2
            else:
                hole = more
            if hole.sum() >= target:
                return hole
            if scale < 1 / 64:
                free = np.flatnonzero(hole == 0)
                hole.reshape(-1)[rng.choice(free, target - int(hole.sum()), replace=False)] = 1
                return hole
        raise AssertionError


@pytest.mark.parametrize("size", [(256, 256), (48, 64)])
@pytest.mark.parametrize("bin", bins.IRREGULAR)
def test_skipping_the_count_changes_nothing(bin: str, size: tuple[int, int]) -> None:
    for i in range(30):
        fast, slow = (kind().draw(seeds.generator("f", i), bin, *size) for kind in (FreeForm, Slow))
        assert np.array_equal(fast, slow)


# ---------------------------------------------------------------------- masks seen in training
def test_masks_are_shared_by_path_or_content(tmp_path: Path) -> None:
    trees.nvidia_test(tmp_path / "test", 1)
    (tmp_path / "other").mkdir()
    trees.mask(tmp_path / "other" / "00000.png", 0.33, np.random.default_rng(9))
    test, other = MaskFolder(tmp_path / "test"), MaskFolder(tmp_path / "other")
    assert masks_are_shared(test, test)
    assert not masks_are_shared(other, test)
    assert not masks_are_shared(FreeForm(), test)
    (tmp_path / "other" / "renamed.png").write_bytes((tmp_path / "test" / "00003.png").read_bytes())
    copied = MaskFolder(tmp_path / "other")
    assert masks_are_shared(copied, test)
    assert masks_are_shared(Several([copied, Box()]), test)


def test_shared_masks_stop_a_training_unless_allowed(folder: Path, tmp_path: Path) -> None:
    trees.nvidia_test(tmp_path / "m", 1)

    def data(train: HoleSource, allowed: bool) -> InpaintingData:
        return InpaintingData(
            pictures=Folder(folder), geometry=Geometry(32), train_holes=train, test_holes=MaskFolder(tmp_path / "m"),
            batch_size=2, batches=1, test_masks_in_training=allowed, workers=0,
        )  # fmt: skip

    with pytest.raises(UserError, match="masks of the test set are among the training masks"):
        data(MaskFolder(tmp_path / "m"), False).train_set()
    data(MaskFolder(tmp_path / "m"), True).train_set()
    data(FreeForm(), False).train_set()
