"""The systems of the suite, found by their configs, and a small training of each. Tests over systems start here."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

import yaml

from inpaintlab.config.compose import group_options
from inpaintlab.utils import paths

SYSTEMS = tuple(group_options("model"))
SMALL_RUNS = Path(__file__).parent / "small_runs"


def experiment(system: str) -> str:
    """Return the first experiment of a system, by name."""
    return next(name for name in group_options("experiment") if name.startswith(f"{system}_"))


def small_run(system: str) -> list[str]:
    """Return overrides of a run of seconds that keeps every part of the system's training.

    They follow those of the fixture `tiny`: 32 x 32 pixels and a quarter of the width. A system that cannot run so
    small lists what it needs in `small_runs/<system>.yaml`.
    """
    file = SMALL_RUNS / f"{system}.yaml"
    return [f"experiment={experiment(system)}", *(yaml.safe_load(file.read_text()) if file.exists() else [])]


def one_of_each_kind() -> list[str]:
    """Return the first system of each kind of training: by adversarial loss and order of the networks' steps."""
    found: dict[Hashable, str] = {}
    for system in SYSTEMS:
        model = yaml.safe_load((paths.conf() / "model" / f"{system}.yaml").read_text())
        adversarial = (model.get("adversarial") or {}).get("_target_")
        found.setdefault((adversarial, model.get("generator_every", 1), model.get("take_turns", False)), system)
    return list(found.values())
