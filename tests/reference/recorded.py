"""Recorded cases as tensors, and how a result is compared with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from reference import synth
from torch import Tensor

FOLDER = Path(__file__).parent
LAYER, NETWORK = 1e-5, 1e-4  # relative 2-norm of the difference


@dataclass(frozen=True)
class Case:
    """What one recorded case holds; `gaps` are the differences of float32 and float64 in the authors' code."""

    weights: dict[str, Tensor]
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    gaps: dict[str, float]
    settings: dict[str, Any]

    @property
    def follows(self) -> str:
        """Return the recorded code by the name that the option `follows` has for it."""
        reference: str = self.settings["reference"]
        return {"tf": "authors"}.get(reference, reference)

    def check(self, name: str, actual: Tensor, tolerance: float) -> None:
        """The relative 2-norm of the difference is at most `tolerance`, or 5 times what float32 itself leaves open."""
        expected = self.outputs[name]
        actual = actual.detach().float()
        assert actual.shape == expected.shape or actual.numel() == expected.numel() == 1, (name, actual.shape)
        actual = actual.reshape(expected.shape)
        limit = max(tolerance, 5 * self.gaps[name])
        error = ((actual - expected).norm() / expected.norm().clamp_min(1e-12)).item()
        assert error <= limit, f"{name}: {error:.2g} > {limit:.2g}"

    def check_peak(self, name: str, actual: Tensor, tolerance: float) -> None:
        """No entry is off by more than `tolerance` times the largest recorded value (DeepFill's cases)."""
        expected = self.outputs[name]
        assert actual.numel() == expected.numel(), (name, actual.shape)
        actual = actual.detach().float().reshape(expected.shape)
        error = ((actual - expected).abs().max() / expected.abs().max()).item()
        assert error <= tolerance, f"{name}: {error:.2g} > {tolerance:.2g}"


def case(name: str) -> Case:
    """The case `lbam/gram_tv`, say."""
    spec, weights, inputs, outputs = synth.load_case(FOLDER / name)
    tensors = [{k: torch.as_tensor(v) for k, v in part.items()} for part in (weights, inputs, outputs)]
    gaps = {k: v.get("float64_gap_l2", 0.0) for k, v in spec["outputs"].items()}
    return Case(*tensors, gaps, spec["settings"])
