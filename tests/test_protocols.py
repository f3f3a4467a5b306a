"""Every protocol against an independent form of it (scikit-image, scipy, numpy) on photographs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from reference.recorded import LAYER, case
from scipy import ndimage
from skimage import data as photographs
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from inpaintlab.errors import UserError
from inpaintlab.image import composite
from inpaintlab.metrics import authors_scripts, image_metrics, protocols

Array = NDArray[Any]
Case = tuple[Array, Array, Array]  # composite in [0, 1], truth of 8 bit, hole


def cases() -> list[Case]:
    rng = np.random.default_rng(0)
    found = []
    for photo in (photographs.astronaut(), photographs.coffee(), photographs.rocket(), photographs.chelsea()):
        truth = photo[40:168, 60:220].copy()
        hole = np.zeros(truth.shape[:2], np.uint8)
        hole[30:90, 40:100], hole[100:104, :] = 1, 1
        filled = ndimage.gaussian_filter(truth / 255, (9, 9, 0)) + rng.normal(0, 0.05, truth.shape)
        known = truth / np.float32(255)
        found.append((np.where(hole[..., None], filled.clip(0, 1), known).astype(np.float32), truth, hole))
    return found


def rounded(result: Array) -> Array:
    return np.floor(255 * result.astype(np.float64) + 0.5).astype(np.uint8)


def gaussian_ssim(x: Array, y: Array, mode: str, c1: float, c2: float) -> Array:
    """The map, channel by channel, from its definition."""
    window = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(window, window) / window.sum() ** 2

    def mean(array: Array) -> Array:
        return np.stack([ndimage.correlate(array[..., c], window, mode=mode) for c in range(3)], -1)

    mx, my = mean(x), mean(y)
    vx, vy, vxy = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    return (2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))


def standard(result: Array, truth: Array, hole: Array) -> dict[str, float]:
    x, y = rounded(result) / 255, truth / 255
    return {
        "psnr": peak_signal_noise_ratio(y, x, data_range=1.0),
        "ssim": gaussian_ssim(x, y, "constant", 1e-4, 9e-4)[5:-5, 5:-5].mean(),
        "l1_pct": 100 * np.abs(x - y).mean(),
        "l2_pct": 100 * ((x - y) ** 2).mean(),
    }


def deepfill(result: Array, truth: Array, hole: Array) -> dict[str, float]:
    x, y = rounded(result) / 255, truth / 255
    inside = (x - y)[hole == 1]
    variation = np.abs(np.diff(x, axis=0)).sum() + np.abs(np.diff(x, axis=1)).sum()
    whole = standard(result, truth, hole)
    return {
        "l1_pct": 100 * np.abs(inside).mean(),
        "l2_pct": 100 * (inside**2).mean(),
        "psnr": peak_signal_noise_ratio(y[hole == 1], x[hole == 1], data_range=1.0),
        "tv_pct": 100 * variation / hole.size,
        "whole_psnr": whole["psnr"],
        "whole_ssim": whole["ssim"],
    }


def edgeconnect(result: Array, truth: Array, hole: Array) -> dict[str, float]:
    x, y = (p @ np.array([0.2125, 0.7154, 0.0721]) for p in (rounded(result) / 255, truth / 255))
    return {
        "psnr": peak_signal_noise_ratio(y, x, data_range=1),
        "ssim": structural_similarity(y, x, data_range=1, win_size=51),
        "l1_pct": 100 * np.abs(x - y).sum() / (x + y).sum(),
    }


def lbam(result: Array, truth: Array, hole: Array) -> dict[str, float]:
    x, y = result.astype(np.float64), truth / 255
    return {
        "psnr": peak_signal_noise_ratio(y, x, data_range=1.0),
        "ssim": gaussian_ssim(255 * x, 255 * y, "constant", 1e-4, 9e-4).mean(),
        "l1_pct": 100 * np.abs(x - y).mean(),
    }


def rn(result: Array, truth: Array, hole: Array) -> dict[str, float]:
    x = (result * 255).astype(np.uint8)
    return {
        "psnr": peak_signal_noise_ratio(truth, x, data_range=255),
        "ssim": structural_similarity(truth, x, data_range=255, win_size=11, channel_axis=2),
        "l1_pct": 100 * np.abs((x.mean(2) - truth.mean(2)) / 255).mean(),
    }


def mmagic(result: Array, truth: Array, hole: Array) -> dict[str, float]:
    difference = np.abs(truth / 255 - rounded(result) / 255) * hole[..., None]
    whole = standard(result, truth, hole)
    return {"psnr": whole["psnr"], "ssim": whole["ssim"], "l1_pct": 100 * difference.sum() / (3 * hole.sum())}


@pytest.mark.parametrize("independent", [standard, deepfill, edgeconnect, lbam, rn, mmagic])
def test_protocol_equals_an_independent_form(independent: Callable[..., dict[str, float]]) -> None:
    protocol = protocols.find(independent.__name__)
    for one in cases():
        expected = independent(*one)
        assert protocol.measure(*one) == pytest.approx(expected, rel=1e-5, abs=1e-6)
        assert list(protocol.columns) == list(expected)


def test_every_protocol_has_such_a_test_and_differs_from_the_others() -> None:
    assert set(protocols.PROTOCOLS) == {f.__name__ for f in (standard, deepfill, edgeconnect, lbam, rn, mmagic)}
    result, truth, hole = cases()[0]
    ssim = {n: p.measure(result, truth, hole)["ssim"] for n, p in protocols.PROTOCOLS.items() if "ssim" in p.columns}
    assert ssim["standard"] == ssim["mmagic"]
    assert len({round(value, 3) for value in ssim.values()}) == len(ssim) - 1


def test_lbam_equals_the_released_script() -> None:
    recorded = case("lbam/metrics_released")
    truths, noise, hole = (recorded.inputs[name] for name in ("gt", "noise", "hole"))
    results = composite(truths, (truths + recorded.settings["noise_std"] * noise).clamp(0, 1), hole)
    pairs = [
        [255 * p.permute(1, 2, 0).contiguous().numpy() for p in both] for both in zip(results, truths, strict=True)
    ]
    psnr = [image_metrics.psnr(*pair) for pair in pairs]
    measured = {
        "psnr_per_image": psnr,
        "psnr": [authors_scripts.lbam_pooled_psnr(psnr)],
        "ssim": [np.mean([authors_scripts.lbam_ssim(*pair) for pair in pairs])],
        "ssim_unit": [np.mean([authors_scripts.lbam_ssim(*pair, scale=1.0) for pair in pairs])],
        "l1": [np.mean([image_metrics.l1_percent(*pair) for pair in pairs]) / 100],
    }
    for name, values in measured.items():
        recorded.check(name, torch.tensor(values), LAYER)


def test_lbam_pools_the_errors_of_sixteen_pictures() -> None:
    mse = np.random.default_rng(0).uniform(0.001, 0.02, 20)
    expected = np.mean([-10 * np.log10(mse[:16].mean()), -10 * np.log10(mse[16:].mean())])
    rows = [{"psnr": -10 * np.log10(value), "ssim": 0.5, "l1_pct": 1.0} for value in mse]
    pooled = protocols.find("lbam").pool(rows)
    assert pooled == pytest.approx({"psnr": expected, "ssim": 0.5, "l1_pct": 1.0})
    assert pooled["psnr"] < np.mean([row["psnr"] for row in rows]) - 0.1
    assert [name for name, column in protocols.find("lbam").columns.items() if not column.is_mean] == ["psnr"]


def test_levels_of_known_pixels_are_those_of_the_truth() -> None:
    levels = np.arange(256, dtype=np.uint8)
    for convert in protocols.LEVELS.values():
        assert (convert(levels / np.float32(255)) == levels).all()
    assert protocols.LEVELS["truncated"](np.array([0.999], np.float32)) == [254]
    assert protocols.LEVELS["rounded"](np.array([0.999], np.float32)) == [255]


def test_unknown_levels_are_refused() -> None:
    with pytest.raises(UserError, match="levels must be one of rounded, truncated, exact; got 'round'"):
        protocols.Column(image_metrics.psnr, True, "dB", levels="round")


def test_several_protocols_in_one_pass() -> None:
    one = cases()[0]
    both = protocols.find(["standard", "rn", "deepfill"])
    values = both.measure(*one)
    for prefix, name in (("", "standard"), ("rn/", "rn"), ("deepfill/", "deepfill")):
        for metric, value in protocols.find(name).measure(*one).items():
            assert values[prefix + metric] == value
    assert len(values) == len(both.columns) == 4 + 3 + 6
    assert protocols.find(["rn"]) is protocols.find("rn")
    with pytest.raises(UserError, match="protocol must be one of standard"):
        protocols.find(["standard", "nr"])
    with pytest.raises(UserError, match="protocol must be one of"):
        protocols.find([])


def test_edgeconnects_window_needs_larger_pictures() -> None:
    small = np.zeros((50, 60, 3), np.uint8)
    with pytest.raises(UserError, match="at least 51x51 pixels, got"):
        authors_scripts.edgeconnect_ssim(small, small)
    assert authors_scripts.edgeconnect_l1_percent(small, small) == 0
