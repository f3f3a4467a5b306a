"""Recorded cases as tensors, and how a result is compared with them.

A case holds what the authors' code returned in float32. Tests compute the same in float64, from the same weights and
inputs, so their outcome does not depend on the processor. In float32 it would: each processor sums in its own order, a
unit that is zero up to rounding then ends on either side of a kink (ReLU, L1, max pooling), and gradients change by up
to 1 %. The authors' run had such units, too. `rounded` puts one of them where float32 put it in that run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from reference import synth
from torch import Tensor

FOLDER = Path(__file__).parent
LAYER, NETWORK = 1e-5, 1e-4  # relative 2-norm of the difference
ROUNDING = 2.0**-21  # of sums in float32, relative to the largest of them: 4 units in the last place


@dataclass(frozen=True)
class Case:
    """One recorded case: weights and inputs in `dtype`, outputs as recorded."""

    weights: dict[str, Tensor]
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    settings: dict[str, Any]
    dtype: torch.dtype

    @property
    def follows(self) -> str:
        """Return the recorded code by the name that the option `follows` has for it."""
        reference: str = self.settings["reference"]
        return {"tf": "authors"}.get(reference, reference)

    def check(self, name: str, actual: Tensor, tolerance: float) -> None:
        """Assert that the relative 2-norm of the difference is at most `tolerance`."""
        assert actual.shape == self.outputs[name].shape or actual.numel() == 1, (name, actual.shape)
        difference, expected = self._difference(name, actual)
        self._assert(name, difference.norm(), expected.norm(), tolerance)

    def check_peak(self, name: str, actual: Tensor, tolerance: float) -> None:
        """Assert that no element differs by more than `tolerance` times the largest recorded absolute value."""
        difference, expected = self._difference(name, actual)
        self._assert(name, difference.abs().max(), expected.abs().max(), tolerance)

    def _difference(self, name: str, actual: Tensor) -> tuple[Tensor, Tensor]:
        expected = self.outputs[name].double()
        assert actual.numel() == expected.numel(), (name, actual.shape, expected.shape)
        return actual.detach().double().reshape(expected.shape) - expected, expected

    @staticmethod
    def _assert(name: str, difference: Tensor, size: Tensor, tolerance: float) -> None:
        assert difference <= tolerance * size, f"{name}: {difference / size:.2g} > {tolerance:.2g}"


def case(name: str, dtype: torch.dtype = torch.float64) -> Case:
    """Return a case, for example `lbam/gram_tv`."""
    spec, weights, inputs, outputs = synth.load_case(FOLDER / name)
    weights, inputs = ({k: torch.as_tensor(v).to(dtype) for k, v in part.items()} for part in (weights, inputs))
    return Case(weights, inputs, {k: torch.as_tensor(v) for k, v in outputs.items()}, spec["settings"], dtype)


def rounded(values: Tensor, index: tuple[int, ...], by: float) -> Tensor:
    """Return `values` with one element moved by `by`, at most the rounding of a sum in float32."""
    largest = values.detach().abs().max().item()
    assert 0 < abs(by) <= ROUNDING * largest, f"{by:.2g} is more than the rounding of values up to {largest:.2g}"
    shift = torch.zeros_like(values)
    shift[index] = by
    return values + shift
