"""The standard metrics against scikit-image and by hand; per-picture values gathered from two processes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from skimage import data as photographs
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from inpaintlab.metrics import image_metrics, protocols
from inpaintlab.metrics.per_picture import PerPicture

Pair = tuple[np.ndarray, np.ndarray]


def pairs() -> list[Pair]:
    rng = np.random.default_rng(0)
    found = []
    for photo in (photographs.astronaut(), photographs.coffee(), photographs.rocket()):
        truth = photo[40:168, 60:220].copy()
        result = truth.copy()
        result[30:90, 40:100] = truth[30:90, 40:100].mean((0, 1)).astype(np.uint8)
        noisy = np.clip(truth + rng.normal(0, 25, truth.shape), 0, 255).astype(np.uint8)
        found += [(result, truth), (noisy, truth)]
    return found


@pytest.mark.parametrize("pair", pairs())
def test_psnr_and_ssim_equal_scikit_image(pair: Pair) -> None:
    result, truth = pair
    assert image_metrics.psnr(*pair) == pytest.approx(peak_signal_noise_ratio(truth, result), abs=1e-10)
    options = {"channel_axis": 2, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = structural_similarity(truth / 255, result / 255, data_range=1.0, **options)
    assert image_metrics.ssim(*pair) == pytest.approx(expected, abs=3e-6)


def test_errors_by_hand() -> None:
    truth, result = np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16, 3), np.uint8)
    result[:8] = 51  # an error of 0.2 in half of the picture
    assert image_metrics.l1_percent(result, truth) == pytest.approx(10.0)
    assert image_metrics.l2_percent(result, truth) == pytest.approx(2.0)
    assert image_metrics.psnr(result, truth) == pytest.approx(-10 * math.log10(0.02))


def test_equal_pictures_are_capped_and_perfect() -> None:
    truth = pairs()[0][1]
    hole = np.ones(truth.shape[:2], np.uint8)
    assert protocols.find("standard").measure(truth / np.float32(255), truth, hole) == {
        "psnr": 100.0, "ssim": pytest.approx(1.0, abs=1e-6), "l1_pct": 0.0, "l2_pct": 0.0,
    }  # fmt: skip


def test_ssim_does_not_depend_on_byte_order_or_brightness_offset_of_float32() -> None:
    """Bright flat areas are where E[x^2] - E[x]^2 loses digits in float32."""
    rng = np.random.default_rng(0)
    truth = (250 + rng.integers(0, 2, (64, 64, 3))).astype(np.uint8)
    result = (250 + rng.integers(0, 2, (64, 64, 3))).astype(np.uint8)
    options = {"channel_axis": 2, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = structural_similarity(truth / 255, result / 255, data_range=1.0, **options)
    assert image_metrics.ssim(result, truth) == pytest.approx(expected, abs=1e-5)


def test_errors_of_the_hole_by_hand() -> None:
    truth, hole = np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8)
    hole[2:4, 5:10] = 1
    result = truth.copy()
    result[2, 5:10] = 51  # an error of 0.2 in half of the hole
    result[10:] = 200  # outside
    assert image_metrics.l1_percent(result, truth, hole) == pytest.approx(10.0)
    assert image_metrics.l2_percent(result, truth, hole) == pytest.approx(2.0)
    assert image_metrics.psnr(result, truth, hole) == pytest.approx(-10 * math.log10(0.02))
    with pytest.raises(ValueError, match="got an empty hole"):
        image_metrics.psnr(result, truth, 0 * hole)


def test_total_variation_by_hand() -> None:
    picture = np.zeros((4, 5, 3), np.uint8)
    assert image_metrics.total_variation_percent(picture) == 0
    picture[:, 2:] = 51  # a step of 0.2 in four rows of three colours
    assert image_metrics.total_variation_percent(picture) == pytest.approx(100 * 4 * 3 * 0.2 / 20)
    assert image_metrics.total_variation_percent(picture.transpose(1, 0, 2).copy()) == pytest.approx(12)


@pytest.mark.parametrize("size", [(11, 11), (74, 20), (75, 31), (139, 13)])
def test_ssim_of_every_height_is_that_of_scikit_image(size: tuple[int, int]) -> None:
    """The maps are computed in bands of rows."""
    truth = photographs.astronaut()[: size[0], 200 : 200 + size[1]]
    result = np.clip(truth + np.random.default_rng(0).normal(0, 25, truth.shape), 0, 255).astype(np.uint8)
    options = {"channel_axis": 2, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = structural_similarity(truth / 255, result / 255, data_range=1.0, **options)
    assert image_metrics.ssim(result, truth) == pytest.approx(expected, abs=3e-6)


def test_wrong_sizes_and_protocols_are_refused() -> None:
    small, other = np.zeros((8, 8, 3), np.uint8), np.zeros((9, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="the same shape, got"):
        image_metrics.psnr(small, other)
    with pytest.raises(ValueError, match="at least 11x11 pixels, got"):
        image_metrics.ssim(small, small)
    with pytest.raises(ValueError, match="protocol must be one of standard"):
        protocols.find("standart")


def test_per_picture_values_keep_their_order_and_count_once() -> None:
    table = PerPicture()
    assert table.compute() == {}
    for number in (2, 0, 2):
        table.update(number, torch.tensor([number, number + 0.5]))
    assert [(number, values.tolist()) for number, values in table.compute().items()] == [(0, [0, 0.5]), (2, [2, 2.5])]


def _gather(rank: int, where: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{where}", rank=rank, world_size=2)
    table = PerPicture()
    for number in range(rank, 5, 2):  # three pictures here, two there
        table.update(number, torch.tensor(number / 3, dtype=torch.float64))
    assert {number: value.item() for number, value in table.compute().items()} == {n: n / 3 for n in range(5)}
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_gather_every_picture_once(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_gather, (str(tmp_path / "meeting"),), nprocs=2)
