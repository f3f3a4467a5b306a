"""`run.json`, `metrics.json` and `per_picture.csv`: read as written; torn and foreign files are named with a remedy."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig
from records import evaluation_results, run_record

from inpaintlab.data.pairs import Pair
from inpaintlab.errors import UserError
from inpaintlab.evaluation.evaluator import Evaluation
from inpaintlab.evaluation.results import PictureRow, read_per_picture, read_results, write_results
from inpaintlab.metrics import protocols
from inpaintlab.sweep.jobs import LEFT, plan_jobs
from inpaintlab.training import record
from inpaintlab.training.run import run_training
from inpaintlab.utils import provenance

Compose = Callable[..., DictConfig]
RUN_AGAIN = "remove it and start the same run again"


def test_the_record_of_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert record.read(tmp_path) is None
    running = run_record(state=record.RUNNING, replaced=None, remarks=["one", "two"])
    record.write(tmp_path, running)
    assert record.read(tmp_path) == running
    assert record.finished_run(tmp_path) is None
    finished = run_record(test_masks_in_training=None, conditions=provenance.conditions())
    record.write(tmp_path, finished)
    assert record.finished_run(tmp_path) == finished
    content = json.loads((tmp_path / "run.json").read_text())
    assert content["precision"] == {"precision": "32", "channels_last": False, "why": "as configured"}
    (tmp_path / "run.json").write_text(json.dumps(content | {"of a later version": 1}))
    assert record.read(tmp_path) == finished


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda content: "", "is not valid JSON"),
        (lambda content: json.dumps(content)[:100], "is not valid JSON"),
        (lambda content: "[1, 2]", "the file must be an object, got \\[1, 2\\]"),
        (lambda content: '{"state": "finished"}', "the file has no 'name'"),
        (lambda content: json.dumps(content | {"seed": "0"}), "seed must be int, got '0'"),
        (lambda content: json.dumps(content | {"seed": True}), "seed must be int, got True"),
        (lambda content: json.dumps(content | {"remarks": [1]}), "remarks must be str, got 1"),
        (lambda content: json.dumps(content | {"replaced": {"samples": 1}}), "replaced has no 'failed'"),
        (
            lambda content: json.dumps(content | {"test_masks_in_training": 1}),
            "test_masks_in_training must be bool, got 1",
        ),
    ],
)
def test_a_torn_or_foreign_record_is_named_with_what_to_do(
    tmp_path: Path, change: Callable[[dict[str, Any]], str], problem: str
) -> None:
    record.write(tmp_path, run_record())
    path = tmp_path / "run.json"
    path.write_text(change(json.loads(path.read_text())))
    with pytest.raises(UserError, match=f"{path}.*{problem}.*{RUN_AGAIN}"):
        record.read(tmp_path)


def test_a_torn_record_stops_a_run_and_without_it_the_run_continues(
    compose: Compose, tiny: list[str], tmp_path: Path
) -> None:
    folder = run_training(compose("batches=1"))
    (folder / "run.json").write_text("{")
    with pytest.raises(UserError, match=RUN_AGAIN):
        run_training(compose("batches=1"))
    (job,) = plan_jobs([["experiment=msanet_places2_mum", *tiny, "batches=1"]])
    assert job.state == LEFT  # its own process says what is wrong
    (folder / "run.json").unlink()
    last = folder / "checkpoints" / "last.ckpt"
    written = last.stat().st_mtime_ns
    assert run_training(compose("batches=1")) == folder
    assert record.finished_run(folder) is not None
    assert last.stat().st_mtime_ns == written  # nothing was left to train


@pytest.fixture
def evaluation() -> Evaluation:
    pairs = [Pair(f"{name}.png", "0.1-0.2", 0.15, "a" * 16, "b" * 16) for name in ("x", "caf\udce9")]
    rows = [dict.fromkeys(("psnr", "ssim", "l1_pct", "l2_pct"), value) for value in (20.0, 21.1234567)]
    return Evaluation(protocols.find("standard"), pairs, rows)


def test_results_are_read_as_they_were_written(tmp_path: Path, evaluation: Evaluation) -> None:
    assert read_results(tmp_path / "out") is None
    written = evaluation_results(
        evaluation.means(), folder=tmp_path / "out", pairs=2, protocol=["standard", "rn"], networks={"inception": "f"}
    )
    write_results(written, evaluation)
    assert read_results(tmp_path / "out") == written
    assert "folder" not in json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert read_per_picture(written) == [
        PictureRow("x.png", "0.1-0.2", 0.15, evaluation.rows[0]),
        PictureRow("caf\udce9.png", "0.1-0.2", 0.15, dict.fromkeys(evaluation.rows[0], 21.123457)),
    ]


def test_torn_results_are_named_with_what_to_do(tmp_path: Path, evaluation: Evaluation) -> None:
    written = evaluation_results(evaluation.means(), folder=tmp_path, pairs=2)
    write_results(written, evaluation)
    (tmp_path / "metrics.json").write_text('{"means": {}}')
    with pytest.raises(
        UserError, match=r"metrics\.json .*the file has no 'pairs'; remove that folder to evaluate again"
    ):
        read_results(tmp_path)
    path = tmp_path / "per_picture.csv"
    header, first, _ = path.read_text(errors="surrogateescape").splitlines()
    for text, problem in (
        (f"{header}\n{first}\n", "has 1 lines for 2 pairs"),
        (f"{header}\n{first}\nx,0.1-0.2\n", "cannot be read as a table of metrics"),
        (f"{header}\n{first}\n{first.replace('20.0', '?')}\n", "cannot be read as a table of metrics"),
        ("a,b\n1,2\n3,4\n", "cannot be read as a table of metrics .*'picture'"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=rf"per_picture\.csv {problem}.*remove that folder to evaluate again"):
            read_per_picture(written)
    path.unlink()
    with pytest.raises(UserError, match="remove that folder to evaluate again"):
        read_per_picture(replace(written, pairs=0))
