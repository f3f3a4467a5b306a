"""Signals at the start of a training: every system within bounds on the embedded photographs, with its demo recipe.

Measured at the start with seeds 0 and 1: the last features before the output have a root mean square of 0.04 to 0.8,
and the outputs spread over pictures by 3 to 89 % of the true pictures' spread. MSA-Net with gates near 0.5 had 0.004 to
0.013 and below 0.4 %.
"""

from __future__ import annotations

import math

import pytest
from systems import SYSTEMS

from inpaintlab.commands import info
from inpaintlab.config.compose import compose_config
from inpaintlab.training.signal import Signal, measure, prepare

FEATURES, SPREAD = (0.02, 10.0), (0.02, 3.0)


def signal(system: str, *more: str, batches: int = 0) -> Signal:
    small = ["data.geometry.size=128", "data.workers=0", "model.generator.width=0.25"]
    return measure(*prepare(compose_config([*info.overrides(system, []), *small, *more]), batches))


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_starts_within_bounds(system: str) -> None:
    found = signal(system)
    last = found.layers[-2].activation
    assert FEATURES[0] < last < FEATURES[1]
    assert SPREAD[0] < found.spread / found.truth_spread < SPREAD[1]
    assert all(math.isfinite(layer.activation + layer.gradient) for layer in found.layers)
    assert all(norm > 0 for norm in found.terms.values())
    text = "\n".join(info.signal_lines(found))
    assert "weight gradient" in text
    assert next(iter(found.terms)) in text


def test_the_bounds_show_gates_that_shrink_the_features() -> None:
    found = signal("msanet", "model.generator.gate=sigmoid")
    assert found.layers[-2].activation < FEATURES[0]
    assert found.spread / found.truth_spread < SPREAD[0]


def test_batches_of_training_change_the_signal() -> None:
    smaller = ["data.geometry.size=32", "data.batch_size=2"]
    start, later = signal("msanet", *smaller), signal("msanet", *smaller, batches=2)
    assert [layer.name for layer in start.layers] == [layer.name for layer in later.layers]
    assert start.terms != later.terms
