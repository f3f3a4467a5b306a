"""Learning-rate schedules: their values, and their choice on the command line, in scales and in recipes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from inpaintlab.config.compose import compose_config
from inpaintlab.errors import UserError
from inpaintlab.training.schedules import Schedule
from inpaintlab.utils import paths


def factors(total: int, **options: Any) -> list[float]:
    schedule = Schedule(**options)
    return [schedule.factor(batch, total) for batch in range(total + 1)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1, 1, 1, 1, 1]),
        ({"kind": "linear"}, [1, 0.75, 0.5, 0.25, 0]),
        ({"kind": "linear", "hold": 0.5}, [1, 1, 1, 0.5, 0]),
        ({"kind": "linear", "last": 0.2}, [1, 0.8, 0.6, 0.4, 0.2]),
        ({"kind": "cosine"}, [1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2, 0]),
        ({"kind": "cosine", "warm_up": 0.5}, [0.5, 1, 1, 0.5, 0]),
        ({"kind": "multistep", "milestones": [0.5, 0.75], "gamma": 0.1}, [1, 1, 0.1, 0.01, 0.01]),
        ({"warm_up": 0.75}, [1 / 3, 2 / 3, 1, 1, 1]),
    ],
)
def test_factors_of_a_training_of_four_batches(options: dict[str, Any], expected: list[float]) -> None:
    assert factors(4, **options) == pytest.approx(expected)


def test_a_stated_milestone_is_met_exactly() -> None:
    schedule = Schedule("multistep", milestones=[0.8], gamma=1 / 3)
    assert schedule.factor(959_999, 1_200_000) == 1
    assert schedule.factor(960_000, 1_200_000) == 1 / 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "step"}, "schedule.kind must be one of constant, linear, cosine, multistep"),
        ({"warm_up": 1.0}, r"schedule.warm_up=1.0 must be a share of the training"),
        ({"last": 2.0}, r"schedule.last=2.0 must be in \[0, 1\]"),
        ({"milestones": [960_000]}, "must be shares of the training"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Schedule(**options)


MODELS = sorted(path.stem for path in (paths.conf() / "model").glob("*.yaml"))


@pytest.mark.parametrize("model", MODELS)
def test_every_system_takes_any_schedule(model: str) -> None:
    chosen = compose_config([f"model={model}", "scale=demo", "schedule=cosine", "schedule.warm_up=0.1"])
    assert (chosen.schedule.kind, chosen.schedule.warm_up) == ("cosine", 0.1)


def test_papers_select_their_schedules_and_the_command_line_another() -> None:
    paper = compose_config(["experiment=msanet_places2", "data.root=x"])
    assert (paper.schedule.kind, list(paper.schedule.milestones)) == ("multistep", [0.8])
    assert compose_config(["experiment=csa_celeba_center", "data.root=x"]).schedule.kind == "linear"
    assert compose_config(["experiment=msanet_places2", "scale=demo", "schedule=constant"]).schedule.kind == "constant"


def test_a_scale_and_a_recipe_select_a_schedule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = tmp_path / "conf"
    shutil.copytree(paths.conf(), conf)
    head = "# @package _global_\n"
    text = f"{head}defaults: [override /data: photos, override /schedule: linear]\nscale: {{name: own}}\nbatches: 9\n"
    (conf / "scale" / "own.yaml").write_text(text)
    (conf / "recipe" / "own_pconv.yaml").write_text(f"{head}schedule: {{kind: cosine, warm_up: 0.1}}\n")
    monkeypatch.setattr(paths, "conf", lambda: conf)
    assert compose_config(["model=gconv", "scale=own"]).schedule.kind == "linear"
    assert compose_config(["model=gconv", "scale=own", "schedule=constant"]).schedule.kind == "constant"
    assert compose_config(["model=pconv", "scale=own"]).schedule.kind == "cosine"
    assert compose_config(["model=pconv", "scale=own", "schedule.kind=constant"]).schedule.kind == "constant"
    with pytest.raises(UserError, match=r"own_pconv.yaml sets schedule.kind=cosine; give schedule.kind=constant"):
        compose_config(["model=pconv", "scale=own", "schedule=constant"])
