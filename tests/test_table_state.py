"""What is known of each table, and all tables rendered again from what has been measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inpaintlab.commands import table as table_command
from inpaintlab.config.compose import group_options
from inpaintlab.config.run_folder import register_resolvers
from inpaintlab.tables import spec, status
from inpaintlab.tables.reproduce import reproduce
from inpaintlab.utils import paths


@pytest.mark.parametrize("name", group_options("experiment"))
def test_choices_are_those_that_hydra_makes(name: str) -> None:
    from hydra import compose, initialize_config_dir

    register_resolvers()
    with initialize_config_dir(str(paths.conf()), version_base="1.3"):
        full = compose("train", [f"experiment={name}"], return_hydra_config=True)
    chosen = status.choices(paths.conf() / "train.yaml") | status.choices(paths.conf() / "experiment" / f"{name}.yaml")
    for group in ("model", "data"):
        assert chosen[group] == full.hydra.runtime.choices[group]


def results(output: Path, id: str, scale: str, measured: dict[str, str]) -> None:
    folder = output / "tables" / f"{id}-{scale}"
    folder.mkdir(parents=True)
    lines = [f"{row},{number},{scale if number else ''}" for row, number in measured.items()]
    (folder / "table.csv").write_text("\n".join(["row,measured,scale", *lines]) + "\n")


def test_states_follow_what_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INPAINTLAB_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    table, kinds = spec.read("msanet.table4"), {table.kind: table for table in map(spec.read, spec.known())}
    monkeypatch.setattr(status.paths, "experiments", lambda: tmp_path)  # nothing committed
    assert status.of(table, tmp_path).word == "not measured"
    assert status.of(table, tmp_path).command == "make reproduce-table TABLE=msanet.table4"
    labels = [row.label for row in table.rows]
    results(tmp_path, table.id, "demo", {labels[0]: "25.1", labels[1]: "", "another": "3"})
    assert next(status.of(table, tmp_path).lines()) == "demo-measured: 1 of 6 rows"
    results(tmp_path, table.id, "demo-seed", dict.fromkeys(labels, "25"))
    assert status.of(table, tmp_path).rows == (1, 6)  # the scale "demo-seed" of a broken file is another one
    results(tmp_path, table.id, "paper", dict.fromkeys(labels, "25"))
    known = status.of(table, tmp_path)
    assert (known.word, known.rows, known.command) == ("measured", (6, 6), "")
    assert known.missing == ("data places2 (data.root=PICTURES)",)
    assert status.of(kinds["quoted"], tmp_path).word == "quoted only"
    assert status.of(kinds["parameters"], tmp_path).word == "counted"


def test_missing_weights_and_systems_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INPAINTLAB_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    missing = status.of(spec.read("lbam.table1"), tmp_path).missing
    assert missing[0] == "data places10 (data.root=PICTURES)"
    assert missing[1].startswith("weights vgg16 ")
    assert missing[2] == "systems for the quoted rows GL / PM / CA"
    assert any("inception" in line for line in status.of(spec.read("charef.table1"), tmp_path).missing)


@pytest.mark.parametrize(("option", "limit"), [("--help", 1.0), ("--list", 4.0)])
def test_help_and_list_are_quick(option: str, limit: float) -> None:
    """Processor time, which does not depend on what else the machine does."""
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-m", "inpaintlab", "table", option], capture_output=True, text=True, check=True
    )
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < limit
    if option == "--list":
        assert set(spec.known()) <= set(done.stdout.split())


def test_all_tables_are_rendered_without_training(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [o for o in tiny if not o.startswith("scale=")] + ["batches=1"]
    assert reproduce("msanet.table3", "demo", overrides) == 0
    (folder,) = (tmp_path / "runs" / "tables").glob("msanet.table3*")
    before = {path.name: path.read_bytes() for path in folder.glob("table.*")}
    request = json.loads((folder / "request.json").read_text())
    assert (request["id"], request["scale"], request["seeds"]) == ("msanet.table3", "demo", [0])
    for path in folder.glob("table.*"):
        path.unlink()
    capsys.readouterr()

    monkeypatch.setattr("inpaintlab.training.run.run_training", lambda *_: pytest.fail("trained"))
    start = time.process_time()
    table_command.main(["--render", f"output={tmp_path / 'runs'}"])
    assert time.process_time() - start < 20
    printed = capsys.readouterr().out
    assert f"2 of 2 rows measured     {folder}/table.html" in printed
    assert {path.name: path.read_bytes() for path in folder.glob("table.*")} == before
    index = (tmp_path / "runs" / "tables" / "index.html").read_text()
    for id in spec.known():
        assert f'href="{id}-demo' in index
        (made,) = (tmp_path / "runs" / "tables").glob(f"{id}-demo*")
        assert {"table.md", "table.csv", "table.tex", "table.html"} <= {path.name for path in made.iterdir()}
    quoted = (tmp_path / "runs" / "tables" / "lbam.table2-demo" / "table.md").read_text()
    assert "Not measured yet: unlearned; forward" in quoted

    next((tmp_path / "runs").glob("msanet_places2_mum/*/seed0/evaluation-*/metrics.json")).unlink()
    table_command.main(["--render", f"output={tmp_path / 'runs'}"])
    assert f"1 of 2 rows measured     {folder}/table.html" in capsys.readouterr().out
    assert "Not measured yet: MUM." in (folder / "table.md").read_text()

    moved = (tmp_path / "runs").rename(tmp_path / "moved")  # the request still names the old folder
    (made,) = (moved / "tables").glob("msanet.table3*")
    table_command.main(["--render", f"output={moved}"])
    assert f"1 of 2 rows measured     {made}/table.html" in capsys.readouterr().out
    kept = (made / "table.md").read_text()
    for path in moved.glob("*/*/seed0/evaluation-*/metrics.json"):
        path.unlink()
    table_command.main(["--render", f"output={moved}"])
    assert "msanet.table3: not rendered: no row is measured below" in capsys.readouterr().err
    assert (made / "table.md").read_text() == kept
