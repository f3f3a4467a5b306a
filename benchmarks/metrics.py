"""Milliseconds per 256x256 colour picture of our metrics, beside scikit-image and plain torchmetrics.

All compute the same values, which is asserted first: PSNR per picture, SSIM with a Gaussian window over covered
positions (torchmetrics' map without its border), and the Frechet distance of two sets of features. One process, one
thread, alternating calls. `--publish` puts the table into the README.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from statistics import median

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage import data as photographs
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import peak_signal_noise_ratio as torch_psnr
from torchmetrics.functional.image import structural_similarity_index_measure as torch_ssim
from torchmetrics.image.fid import _compute_fid

from inpaintlab.metrics import fid, image_metrics, protocols
from inpaintlab.tables.publish import report

SIDE, PICTURES, FEATURES = 256, 200, 2048
NAMES = ("scikit-image", "torchmetrics", "ours")
TOLERANCES = {"PSNR": 1e-4, "SSIM": 1e-5}
Picture = NDArray[np.uint8]
Works = Mapping[str, Callable[[], float]]


def pair() -> tuple[Picture, Picture]:
    """A photograph, and it with a blurred square."""
    photo = photographs.astronaut()  # type: ignore[no-untyped-call]
    truth = np.ascontiguousarray(photo[:SIDE, 100 : 100 + SIDE])
    result = truth.copy()
    result[64:192, 64:192] = cv2.GaussianBlur(truth, (31, 31), 9)[64:192, 64:192]
    return result, truth


def tensor(picture: Picture) -> torch.Tensor:
    """(1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255


def reference_psnr(result: Picture, truth: Picture) -> float:
    """scikit-image's."""
    return float(peak_signal_noise_ratio(truth, result))  # type: ignore[no-untyped-call]


def reference_ssim(result: Picture, truth: Picture) -> float:
    """scikit-image's, on values in [0, 1]."""
    options = {"channel_axis": 2, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    value = structural_similarity(truth / 255, result / 255, data_range=1.0, **options)  # type: ignore[no-untyped-call]
    return float(value)


def plain_ssim(result: Picture, truth: Picture) -> float:
    """torchmetrics', less the border that its windows leave."""
    _, full = torch_ssim(tensor(result), tensor(truth), data_range=1.0, return_full_image=True)
    return float(full[..., 5:-5, 5:-5].mean())


def plain_psnr(result: Picture, truth: Picture) -> float:
    """torchmetrics', per picture."""
    both = tensor(result), tensor(truth)
    return float(torch_psnr(*both, data_range=1.0, dim=(1, 2, 3), reduction="elementwise_mean"))


def plain_distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """torchmetrics' way: eigenvalues of the product of both covariances."""
    sets = [torch.from_numpy(features).double() for features in (a, b)]
    (m_a, m_b), (c_a, c_b) = [s.mean(0) for s in sets], [s.T.cov() for s in sets]
    return float(_compute_fid(m_a, c_a, m_b, c_b))


def alternate(works: Works, rounds: int) -> dict[str, float]:
    """Median milliseconds of process CPU time over rounds in which the works take turns, after one unmeasured."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for i in range(rounds + 1):
        for name, work in works.items():
            start = time.process_time()
            work()
            if i:
                times[name].append(1000 * (time.process_time() - start))
    return {name: median(values) for name, values in times.items()}


def agree(label: str, works: Works, tolerance: float) -> float:
    """The largest difference between ours and the others; ends the program where they should agree and do not."""
    values = {name: work() for name, work in works.items()}
    gap = max(abs(value - values["ours"]) for value in values.values())
    if not gap <= tolerance:
        raise SystemExit(f"{label}: ours and the others differ by {gap}: {values}")
    return gap


def main() -> None:
    """Check, measure, print; put the table into the pages if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="of metrics; the distance gets a twentieth of them")
    parser.add_argument("--publish", action="store_true", help="put the table into the pages")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    both = pair()
    metrics: dict[str, Works] = {
        "PSNR": {
            "scikit-image": partial(reference_psnr, *both),
            "torchmetrics": partial(plain_psnr, *both),
            "ours": partial(image_metrics.psnr, *both),
        },
        "SSIM": {
            "scikit-image": partial(reference_ssim, *both),
            "torchmetrics": partial(plain_ssim, *both),
            "ours": partial(image_metrics.ssim, *both),
        },
    }
    rng = np.random.default_rng(0)
    sets = [(rng.normal(size=(PICTURES, FEATURES)) + shift).astype(np.float32) for shift in (0, 0.1)]
    distance: Works = {"torchmetrics": partial(plain_distance, *sets), "ours": partial(fid.frechet, *sets)}
    gaps = {label: agree(label, works, TOLERANCES[label]) for label, works in metrics.items()}
    relative = agree("distance", distance, 1e-5 * distance["ours"]()) / distance["ours"]()

    lines = ["| ms | " + " | ".join(NAMES) + " | ours / faster |", "|---|---:|---:|---:|---:|"]
    measured = {label: alternate(works, options.rounds) for label, works in metrics.items()}
    measured[f"Frechet distance of {PICTURES} and {PICTURES} pictures"] = alternate(distance, options.rounds // 20)
    for label, ms in measured.items():
        ratio = ms["ours"] / min(value for name, value in ms.items() if name != "ours")
        cells = " | ".join(f"{ms[name]:.3g}" if name in ms else "\u2013" for name in NAMES)
        lines.append(f"| {label} | {cells} | {ratio:.3f} |")
    composite, hole = both[0] / np.float32(255), np.zeros((SIDE, SIDE), np.uint8)
    hole[64:192, 64:192] = 1
    whole = alternate(
        {n: lambda p=p: len(p.measure(composite, both[1], hole)) for n, p in protocols.PROTOCOLS.items()},  # type: ignore[misc]
        options.rounds,
    )
    lines += ["", "| ms per picture | " + " | ".join(whole) + " |", "|---|" + "---:|" * len(whole)]
    lines.append("| all metrics of the protocol | " + " | ".join(f"{ms:.2g}" for ms in whole.values()) + " |")
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("scikit-image", "torchmetrics", "opencv-python-headless")
    )
    notes = (
        f"Process CPU time, medians of {options.rounds} alternating rounds ({options.rounds // 20} of the distance), "
        f"one thread, {SIDE}x{SIDE} RGB, {FEATURES} features per picture; {versions}. Largest differences of "
        f"the values: PSNR {gaps['PSNR']:.0e} dB, SSIM {gaps['SSIM']:.0e}, distance {relative:.0e} of itself."
    )
    text = "\n".join([*lines, "", notes])
    report("bench metrics", text, publish=options.publish)


if __name__ == "__main__":
    main()
