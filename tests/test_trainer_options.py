"""Options that belong to the trainer, not to a paper: compilation, parts of a batch, clipping, averaged weights."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from PIL import Image
from test_training import SGD, stop_after

from inpaintlab.checkpoints import checkpoint
from inpaintlab.commands import evaluate
from inpaintlab.config.compose import compose_config
from inpaintlab.config.run_folder import run_folder
from inpaintlab.errors import UserError
from inpaintlab.training.run import run_training

Compose = Callable[..., DictConfig]


def content(folder: Path) -> dict[str, object]:
    return checkpoint.read(folder / "checkpoints" / checkpoint.LAST)


def generator(folder: Path) -> dict[str, torch.Tensor]:
    weights = content(folder)["state_dict"]
    assert isinstance(weights, dict)
    return {k.removeprefix("generator."): v for k, v in weights.items() if k.startswith("generator.")}


def stop_and_resume(compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> Path:
    config = compose(*options, f"output={tmp_path / 'stopped'}")
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            run_training(config)
    return run_training(config)


@pytest.mark.parametrize(
    "options",
    [
        ["trainer.average=0.9", "schedule=cosine", "schedule.warm_up=0.5"],
        ["trainer.accumulate=2", "trainer.clip_norm=0.01"],
        ["trainer.precision=bf16-mixed", "trainer.channels_last=true", "trainer.health=continue"],
    ],
    ids=str,
)
def test_resumed_equals_uninterrupted_bit_for_bit(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    whole = run_training(compose(*options))
    resumed = stop_and_resume(compose, tmp_path, monkeypatch, *options)
    for key in ("state_dict", checkpoint.AVERAGE):
        one, two = content(whole).get(key, {}), content(resumed).get(key, {})
        assert isinstance(one, dict)
        assert isinstance(two, dict)
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one), key


def test_what_changes_the_learning_is_part_of_the_runs_name(compose: Compose) -> None:
    plain = run_folder(compose())
    for same in ("trainer.compile=true", "trainer.health=continue", "trainer.accumulate=1", "trainer.clip_norm=null"):
        assert run_folder(compose(same)) == plain
    for other in ("trainer.accumulate=2", "trainer.clip_norm=1", "trainer.average=0.9"):
        assert run_folder(compose(other)) != plain


@pytest.mark.parametrize("precision", ["32", "bf16-mixed"])
def test_a_batch_in_parts_trains_the_same_weights(compose: Compose, precision: str) -> None:
    options = ["data.batch_size=4", f"trainer.precision={precision}", *SGD]
    whole = generator(run_training(compose(*options)))
    parts = generator(run_training(compose(*options, "trainer.accumulate=4")))
    start = generator(run_training(compose(*options, "model.optimizer_g.lr=0")))

    def distance(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
        return torch.cat([(a[name] - b[name]).flatten() for name in a]).norm().item()

    assert distance(parts, whole) < (0.001 if precision == "32" else 0.3) * distance(whole, start)


def test_averaged_weights_follow_the_recurrence_and_can_be_used(
    compose: Compose, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history: list[dict[str, torch.Tensor]] = []
    from inpaintlab.training.weight_averaging import WeightAveraging

    update = WeightAveraging.on_train_batch_end

    def watched(self: WeightAveraging, trainer: object, module: object, *rest: object) -> None:
        if not history:
            history.append({k: v.clone() for k, v in self.weights.items()})
        history.append({k: v.clone() for k, v in module.generator.state_dict().items()})  # type: ignore[attr-defined]
        update(self, trainer, module, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(WeightAveraging, "on_train_batch_end", watched)
    run = run_training(compose("trainer.average=0.25", "evaluation.average=true", "trainer.validate_every=4"))
    expected = history[0]
    for steps, weights in enumerate(history[1:], 1):
        decay = min(0.25, (1 + steps) / (10 + steps))
        expected = {k: decay * v + (1 - decay) * weights[k] for k, v in expected.items()}
    average = content(run)[checkpoint.AVERAGE]
    assert isinstance(average, dict)
    for name, value in expected.items():
        torch.testing.assert_close(average[name], value)
    assert all(torch.equal(v, history[-1][k]) for k, v in generator(run).items())  # validation left no trace

    last = run / "checkpoints" / checkpoint.LAST
    results = [
        evaluate.run(compose_config([f"checkpoint={last}", f"out={tmp_path}", f"evaluation.average={use}"], "evaluate"))
        for use in ("false", "true")
    ]
    assert results[0].weights != results[1].weights
    assert results[0].folder != results[1].folder
    assert results[0].pairs_digest == results[1].pairs_digest
    Image.fromarray(np.full((48, 60), 255, np.uint8) * (np.arange(60) < 20)).save(tmp_path / "mask.png")
    fill = ["--checkpoint", str(last), "--image", str(folder / "test" / "0.png"), "--mask", str(tmp_path / "mask.png")]
    from inpaintlab.commands import inpaint

    for extra in ([], ["--average"]):
        inpaint.main([*fill, "--out", str(tmp_path / f"filled{len(extra)}.png"), *extra])
    assert (tmp_path / "filled0.png").read_bytes() != (tmp_path / "filled1.png").read_bytes()


def test_averaged_weights_that_are_not_there_are_asked_for(compose: Compose) -> None:
    with pytest.raises(UserError, match="needs a run with averaged weights; add for example trainer.average"):
        run_training(compose("evaluation.average=true"))
    with pytest.raises(UserError, match=r"trainer.average=1.5 must be in \(0, 1\)"):
        run_training(compose("trainer.average=1.5"))
    run = run_training(compose("batches=1"))
    with pytest.raises(UserError, match="has no averaged weights"):
        checkpoint.load(run / "checkpoints" / checkpoint.LAST, average=True)


@pytest.mark.slow
def test_compiled_trains_the_weights_of_the_same_names_and_resumes(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = generator(run_training(compose(*SGD)))
    run = stop_and_resume(compose, tmp_path, monkeypatch, *SGD, "trainer.compile=true")
    assert json.loads((run / "run.json").read_text())["compiled"] is True
    whole = generator(run_training(compose(*SGD, "trainer.compile=true", f"output={tmp_path / 'whole'}")))
    for name, value in generator(run).items():
        assert torch.equal(value, whole[name]), name
        torch.testing.assert_close(value, plain[name], rtol=1e-3, atol=2e-5)


@pytest.mark.slow
def test_parts_in_two_processes_train_the_weights_of_one(tiny: list[str], tmp_path: Path) -> None:
    weights = []
    ddp = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.accumulate=2", "evaluate=true"]
    for name, extra in (("one", ["trainer=cpu"]), ("two", ddp)):
        options = ["experiment=msanet_places2_mum", *tiny, *extra, *SGD, "trainer.clip_norm=0.05", "data.batch_size=4"]
        options.append("model.optimizer_g.lr=0.01")  # rounding errors of sums in another order grow with the steps
        command = [
            sys.executable,
            "-m",
            "inpaintlab",
            "train",
            *options,
            f"output={tmp_path / name}",
            "trainer.precision=32",
        ]
        subprocess.run(command, check=True, cwd=tmp_path, timeout=300)
        (run,) = (tmp_path / name).glob("*/*/seed0")
        weights.append(generator(run))
    for key in weights[0]:
        torch.testing.assert_close(weights[1][key], weights[0][key], rtol=1e-4, atol=2e-6)
    # Two processes together and one alone give the same numbers, to the last digit.
    last = run / "checkpoints" / checkpoint.LAST
    alone = evaluate.run(compose_config([f"checkpoint={last}", f"out={tmp_path / 'alone'}", "device=cpu"], "evaluate"))
    (together,) = run.glob("evaluation-*")
    for file in ("per_picture.csv", "pairs.csv"):
        assert (together / file).read_text() == (alone.folder / file).read_text()
    assert json.loads((together / "metrics.json").read_text())["means"] == alone.means
