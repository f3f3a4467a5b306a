"""Table specs, statistics and rendering; a tiny table from training to files, killed, repeated and with bad rows."""

from __future__ import annotations

import csv
import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import get_method
from omegaconf import DictConfig
from records import evaluation_results, run_record

from inpaintlab.checkpoints import pretrained_files
from inpaintlab.commands import table as table_command
from inpaintlab.config.compose import compose_config, group_options
from inpaintlab.config.run_folder import run_folder
from inpaintlab.data.holes import bins
from inpaintlab.errors import UserError
from inpaintlab.metrics import protocols
from inpaintlab.networks.fills import TITLES
from inpaintlab.tables import bootstrap, csv_format, fill_rows, measure, publish, spec, status, text_formats
from inpaintlab.tables.bootstrap import Difference, intervals, paired
from inpaintlab.tables.differences import Comparison, compute
from inpaintlab.tables.narrow import narrow
from inpaintlab.tables.report import make_report
from inpaintlab.tables.reproduce import reproduce
from inpaintlab.tables.results import Measured
from inpaintlab.tables.write import write_table
from inpaintlab.training.run import run_training


# ---------------------------------------------------------------------- specs
@pytest.mark.parametrize("id", spec.known())
def test_every_spec_names_what_exists(id: str) -> None:
    table = spec.load(id)
    assert table.id == id
    assert set(table.experiments) <= set(group_options("experiment"))
    if table.kind == "comparison":
        assert table.masks in group_options("masks")
        assert {metric.key for metric in table.metrics} <= {
            *protocols.find(table.protocol).columns,
            *pretrained_files.NETWORKS,
            *spec.TIMES,
        }
        for bin in table.bins:
            assert bin in (*bins.IRREGULAR, "all", "fixed25", "center")
    if table.kind == "parameters":
        assert callable(get_method(table.count))


def test_published_means_of_table_6_fit_the_ablation_tables() -> None:
    """The six-bin mean of Table 6's own Places2 row is what Tables 4 and 5 print for the full model."""
    (own,) = [row for row in spec.load("msanet.table6").rows if row.experiment == "msanet_places2"]
    for id in ("msanet.table4", "msanet.table5"):
        (full,) = [row for row in spec.load(id).rows if row.experiment == "msanet_places2"]
        for metric, tolerance in (("psnr", 0.005), ("ssim", 0.0005)):
            mean = np.mean([own.published[metric][bin] for bin in bins.IRREGULAR])
            assert mean == pytest.approx(full.published[metric]["all"], abs=tolerance)


def test_rows_shared_by_two_tables_are_one_run_with_one_published_value() -> None:
    seen: dict[str, dict[str, dict[str, float]]] = {}
    for id in ("msanet.table2", "msanet.table3", "msanet.table4", "msanet.table5"):
        for row in spec.load(id).rows:
            assert row.experiment is not None
            assert seen.setdefault(row.experiment, row.published) == row.published
    assert len(seen) == 13


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": {}}, "unknown key 'metric'; did you mean 'metrics'?"),
        ({"reference": "nobody"}, "reference 'nobody' is not a row; rows are a"),
        ({"rows": []}, "needs rows and metrics"),
        (
            {"rows": [{"label": "a", "published": {"psnr": {"0.1-0.2": 1.0}}}]},
            "row 'a' must give psnr for the bins all",
        ),
        ({"rows": [{"lable": "a"}]}, "unknown key 'lable'; did you mean 'label'?"),
        (
            {"metrics": {"vif": {"label": "VIF", "decimals": 3}}},
            "x.yaml: protocol 'standard' has no metric 'vif'; it has psnr, ssim, l1_pct, l2_pct, fid, fid_torchvision, "
            "lpips, seconds, training_seconds",
        ),
        (
            {"protocol": "rn", "metrics": {"l2_pct": {"label": "L2", "decimals": 2}}},
            "it has psnr, ssim, l1_pct, fid, fid_torchvision, lpips, seconds, training_seconds",
        ),
        ({"protocol": "rm"}, "x.yaml: metric protocol must be one of standard"),
        ({"metrics": {"fid": {"label": "FID", "decimals": 3}}}, ""),
        ({"protocol": "deepfill", "metrics": {"tv_pct": {"label": "TV", "decimals": 1}}}, ""),
        ({"kind": "parameters"}, "must give `count`"),
        ({"title": None}, ""),
    ],
)
def test_wrong_specs_are_refused(change: dict[str, object], message: str) -> None:
    content = {
        "id": "x.table1",
        "title": "t",
        "source": "s",
        "metrics": {"psnr": {"label": "P", "decimals": 2}},
        "rows": [{"label": "a"}],
    }
    if not message:
        spec.check_metrics(spec.parse({**content, **change}, "x.yaml"), "x.yaml")
        return
    with pytest.raises(UserError, match=re.escape(message)):
        spec.check_metrics(spec.parse({**content, **change}, "x.yaml"), "x.yaml")


def test_unknown_table_gets_the_nearest_name() -> None:
    with pytest.raises(UserError, match=r"unknown table 'msanet.tabel3'; did you mean msanet.table3"):
        spec.load("msanet.tabel3")


# ---------------------------------------------------------------------- statistics
def test_interval_of_a_constant_difference_is_a_point() -> None:
    base = np.random.default_rng(0).normal(25, 3, (1, 40))
    difference = paired(base + 0.1, base)
    assert (difference.mean, difference.low, difference.high) == pytest.approx((0.1, 0.1, 0.1))
    assert difference.decided


def test_interval_has_the_width_of_the_normal_approximation_and_covers() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        difference = paired(rng.normal(0.0, 1.0, (1, 60)), np.zeros((1, 60)), draws=1000)
        assert 0.3 < difference.high - difference.low < 0.75  # 2 * 1.96 / sqrt(60) = 0.51
        covered += difference.low <= 0 <= difference.high
    assert 180 <= covered <= 198  # 95 % of 200, a little less for bootstrap percentiles


def test_pairing_removes_what_pictures_share_and_seeds_count() -> None:
    rng = np.random.default_rng(2)
    pictures, gain = rng.normal(25, 3, 50), 0.05
    row = pictures + gain + rng.normal(0, 0.01, 50)
    assert paired(row[None], pictures[None]).decided
    by_seed = np.array([1.0, -1.0, 0.5])[:, None] + np.zeros(50)
    several = paired(pictures + gain + by_seed, np.tile(pictures, (3, 1)))
    assert not several.decided  # trainings differ by far more than the gain
    assert several.mean == pytest.approx(gain + 0.5 / 3)
    with pytest.raises(ValueError, match="one shape"):
        paired(row[None], pictures)


def reference_interval(difference: np.ndarray, draws: int) -> Difference:
    """The formula without chunks: (draws, pictures) weights for one array (seeds, pictures)."""
    seeds, pictures = difference.shape
    rng = np.random.default_rng(0)
    of_pictures = rng.multinomial(pictures, np.full(pictures, 1 / pictures), draws) / pictures
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds
    means = ((of_seeds @ difference) * of_pictures).sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Difference(float(difference.mean()), float(low), float(high))


def test_intervals_of_many_columns_in_chunks_are_those_of_the_plain_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "WEIGHTS_IN_MEMORY", 77 * 100)  # 1000 draws are not a multiple of it for 31 pictures
    rng = np.random.default_rng(4)
    samples = [rng.normal(0.3, 3, shape) for shape in ((1, 77), (3, 77), (2, 31), (1, 31), (3, 77))]
    samples.append(np.zeros((2, 77)))
    for found, values in zip(intervals(samples, 1000), samples, strict=True):
        expected = reference_interval(values, 1000)
        for name in ("mean", "low", "high"):
            assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-12, abs=1e-15)
    assert intervals(samples, 1000)[-1] == Difference(0.0, 0.0, 0.0)  # equal rows differ by exactly nothing


def test_rows_are_compared_over_their_common_seeds() -> None:
    rng = np.random.default_rng(5)
    values, results = rng.normal(25, 3, (3, 40, 2)), evaluation_results({})
    rows = {
        "a": Measured(dict.fromkeys((0, 1, 2), results), {"psnr": values}, ("x", "y")),
        "b": Measured(dict.fromkeys((2, 0), results), {"psnr": values[:2] - 0.2}, ("x", "y")),
        "c": Measured({7: results}, {"psnr": values[:1]}, ("x", "y")),
        "d": Measured({0: results}, {}, ("x", "y")),
    }
    wanted = [Comparison("a", other, "psnr", bin) for other in ("a", "b", "c", "d", None) for bin in ("x", "all", "z")]
    found = compute(rows, wanted)
    assert set(found) == {c for c in wanted if c.other in ("b", None) and c.bin != "z"}
    x = found[Comparison("a", "b", "psnr", "x")]
    assert x == paired(values[[0, 2], :, 0], values[[1, 0], :, 0] - 0.2)  # seed 0 is b's second
    assert found[Comparison("a", None, "psnr", "all")] == intervals([values.mean(2)])[0]


def test_a_table_is_bootstrapped_once(overrides: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[int] = []
    original = bootstrap._resampled_means

    def counted(rng: np.random.Generator, columns: np.ndarray, draws: int) -> np.ndarray:
        calls.append(columns.shape[1])
        return original(rng, columns, draws)

    monkeypatch.setattr(bootstrap, "_resampled_means", counted)
    assert reproduce("msanet.table3", "demo", [*overrides, "batches=1"]) == 0
    # MUM and six fills against No-MUM in two metrics, and the chart: both rows in six bins
    assert calls == [2 * (1 + 6) + 12]


# ---------------------------------------------------------------------- rendering
def parameters() -> tuple[spec.Table, dict[str, Measured]]:
    table = spec.load("msanet.table1")
    return table, measure.measure(table, "demo", [0], [])


def test_table_1_prints_the_exact_counts() -> None:
    table, results = parameters()
    text = text_formats.markdown(make_report(table, results, "demo"))
    for cell in ("221 184 (221K)", "240 128 (240K)", "338 432 (338K)", "268 032 (268K)", "326 400 (326K)"):
        assert cell in text
    for row in table.rows:  # the printed thousands are the counted numbers, cut or rounded
        for column, printed in row.published["parameters"].items():
            assert (
                results[row.label].counts[column] // 1000 == round(results[row.label].counts[column] / 1000) == printed
            )


def test_quoted_tables_render_without_any_measurement() -> None:
    table = spec.load("msanet.table6")
    results = {row.label: Measured(missing="no data" if row.experiment else "") for row in table.rows}
    report = make_report(table, results, "paper")
    text = text_formats.markdown(report)
    assert "(30.71)" in text
    assert "MSA-Net, Places2: not available: no data" in text
    assert "Quoted only, not measured here: CA, Places2" in text
    tex = text_formats.latex(report)
    assert tex.count(r"\\") == len(table.rows) + 1
    assert tex.count("&") == (len(table.rows) + 1) * 15  # a label, a size, two metrics with seven bins
    lines = list(csv.DictReader(csv_format.as_csv(report).splitlines()))
    assert len(lines) == 9 * 2 * 7
    assert {line["scale"] for line in lines} == {""}  # nothing was measured at any scale


# ---------------------------------------------------------------------- a whole table
@pytest.fixture
def overrides(tiny: list[str]) -> list[str]:
    return [o for o in tiny if not o.startswith("scale=")] + ["batches=2"]


def test_a_table_from_training_to_files_and_again(
    overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reproduce("msanet.table3", "demo", [*overrides, "seed=0,1"]) == 0
    printed = capsys.readouterr().out
    assert "| MUM " in printed
    assert "26.615" in printed
    (folder,) = (tmp_path / "runs" / "tables").glob("msanet.table3-demo*")
    assert {path.name for path in folder.iterdir()} == {
        *("table.md", "table.csv", "table.tex", "table.html", "pictures.png", "request.json"),
        *("holes.png", "holes.pdf", "loss.png", "loss.pdf"),
    }
    lines = list(csv.DictReader((folder / "table.csv").open()))
    own = [line for line in lines if line["origin"] == "trained here"]
    assert {line["seeds"] for line in own} == {"0 1"}
    assert {line["pairs"] for line in lines} == {"18"}
    mum = next(line for line in lines if line["row"] == "MUM" and line["metric"] == "psnr")
    none = next(line for line in lines if line["row"] == "No-MUM" and line["metric"] == "psnr")
    assert float(mum["against_reference"]) == pytest.approx(float(mum["measured"]) - float(none["measured"]), abs=2e-4)
    assert float(mum["low"]) <= float(mum["against_reference"]) <= float(mum["high"])
    assert {line["difference"] for line in lines} == {""}  # a few steps say nothing about the published number
    assert {line["verdict"] for line in own} == {"not comparable"}
    tex = (folder / "table.tex").read_text()
    for text in ((folder / "table.md").read_text(), tex):
        assert "difference" not in text.replace("no difference", "").replace("paired difference", "")
        assert "not judged at this scale: 2 seeds, and at least 3 are needed" in text or text is tex

    monkeypatch.setattr("inpaintlab.training.run.run_training", lambda *_: pytest.fail("trained again"))
    assert reproduce("msanet.table3", "demo", [*overrides, "seed=0,1"]) == 0
    assert capsys.readouterr().out == printed


def test_fills_without_training_stand_below_the_rows_and_are_evaluated_once(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce("msanet.table3", "demo", [*overrides, "seed=0,1"]) == 0
    printed = capsys.readouterr().out
    (folder,) = (tmp_path / "runs" / "tables").glob("msanet.table3-demo*")
    lines = [line for line in csv.DictReader((folder / "table.csv").open()) if line["metric"] == "psnr"]
    assert [line["row"] for line in lines] == ["No-MUM", "MUM", *TITLES.values()]
    for line in lines[2:]:
        assert (line["origin"], line["published"], line["seeds"], line["parameters"]) == ("no training", "", "", "")
    assert len({line["pairs_digest"] for line in lines}) == 1
    values = {line["row"]: float(line["measured"]) for line in lines}
    for line in lines[:2]:
        worse = [title for title in TITLES.values() if values[title] < values[line["row"]]]
        best = max(worse, key=lambda title: values[title], default="none")
        assert line["above"] == best + " (all)" * (len(worse) == len(TITLES))

    # Another table with the same pairs and protocol takes the same evaluations.
    evaluations = sorted((tmp_path / "runs" / "fills").glob("*/evaluation-*/metrics.json"))
    assert [file.parents[1].name for file in evaluations] == sorted(TITLES)
    monkeypatch.setattr("inpaintlab.evaluation.run.evaluate_subject", lambda *_, **__: pytest.fail("evaluated"))
    table = dataclasses.replace(spec.load("msanet.table3"), rows=spec.load("msanet.table3").rows[:1], claims=())
    results = measure.measure(table, "demo", [0, 1], overrides, train=False)
    fills = fill_rows.measure_fills(table, "demo", overrides, results)
    assert list(fills) == list(TITLES.values())

    # The forms set them apart, and state once how to read them.
    assert re.search(r"\| MUM .*\n\| \*\*no training\*\* .*\n\| mean colour ", printed)
    tex = (folder / "table.tex").read_text()
    assert re.search(r"\nMUM .*\n\\midrule\n\\multicolumn\{\d+\}\{l\}\{\\emph\{no training\}\} .*\nmean colour", tex)
    assert printed.count("PSNR favours smooth fills") == 1
    assert re.search(r"- Seconds per picture without training.*: mean colour \S+, nearest pixel ", printed)
    # They are no rows of the paper.
    assert status.measured_rows(spec.read("msanet.table3"), "demo", tmp_path / "runs") == {"No-MUM", "MUM"}
    text = narrow(spec.read("msanet.table3"), folder / "table.csv")
    assert "*mean colour*" in text
    assert "Rows in italics need no training." in text
    assert max(line.count("|") for line in text.splitlines()) == 6


def test_no_label_of_a_row_is_that_of_a_fill() -> None:
    assert not {row.label for id in spec.known() for row in spec.read(id).rows} & set(TITLES.values())


def test_a_fill_that_was_evaluated_on_other_pictures_is_evaluated_again(overrides: list[str], folder: Path) -> None:
    table = spec.load("msanet.table3")
    results = measure.measure(table, "demo", [0], overrides)
    first = fill_rows.measure_fills(table, "demo", overrides, results)
    file = first["harmonic"].summaries[0].folder / "metrics.json"
    file.write_text(re.sub(r'("(?:pairs_digest|files)": ")', r"\g<1>0", file.read_text()))
    again = fill_rows.measure_fills(table, "demo", overrides, results)
    assert again["harmonic"].mean("psnr", "all") == first["harmonic"].mean("psnr", "all")
    picture = sorted((folder / "test").glob("*.png"))[0]
    picture.write_bytes(sorted((folder / "train").glob("*.png"))[0].read_bytes())
    file.write_text(re.sub(r'("(?:pairs_digest|files)": ")', r"\g<1>0", file.read_text()))
    changed = fill_rows.measure_fills(table, "demo", overrides, results)
    assert "the pictures or masks have changed since the rows were evaluated" in changed["harmonic"].missing
    assert changed["nearest pixel"].missing == ""  # its evaluation is that of the rows' pictures


# ---------------------------------------------------------------------- one training for equal rows
def test_rows_whose_configs_are_equal_but_for_their_names_share_one_training(
    overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = spec.load("csa.figure10")
    first, second = (row.label for row in table.rows)
    narrow_networks = [o for o in overrides if "width" not in o]
    runs = measure._runs(table, "demo", [0, 1], narrow_networks, {})
    assert [run.same_as for run in runs] == ["", "", first, first]
    assert runs[2].folder == runs[0].folder != runs[1].folder == runs[3].folder
    seen: list[list[list[str]]] = []
    monkeypatched = pytest.MonkeyPatch()
    monkeypatched.setattr(measure, "run_jobs", lambda jobs, launcher: seen.append(jobs) or [])
    measure.ask_for_metrics(table, [run.config for run in runs])
    measure._launch(table, runs, lambda *_: None)  # type: ignore[arg-type, return-value]
    monkeypatched.undo()
    assert len(seen[0]) == 2

    results = {first: shared(""), second: shared(first)}
    report = make_report(table, results, "demo")
    text = text_formats.markdown(report)
    assert f"| {second} (same training as {first} at this scale) |" in re.sub(" +", " ", text)
    assert f"- One training: {first}; {second}." in text
    assert all(cell.against is None for cell in report.cells)
    lines = list(csv.DictReader(csv_format.as_csv(report).splitlines()))
    assert {line["same_training_as"] for line in lines if line["row"] == second} == {first}


def shared(same_as: str) -> Measured:
    """One seed of a row, with four metrics of four pictures."""
    means = dict.fromkeys(("l1_pct", "l2_pct", "psnr", "ssim"), 1.0)
    results = evaluation_results({"center": means, "all": means})
    values = {metric: np.ones((1, 4, 1)) for metric in means}
    return Measured({0: results}, values, ("center",), run_record(), same_as=same_as)


# ---------------------------------------------------------------------- FID
class Colours(torch.nn.Module):
    """Mean colours as features."""

    def __init__(self, origin: str) -> None:
        super().__init__()
        self.origin = origin

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures.float().mean((2, 3))


def with_fid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **changes: Any) -> None:
    """Table 3 with a column FID, on a machine without Inception weights."""
    table = spec.load("msanet.table3")
    metrics = (*table.metrics, spec.Metric("fid", "FID", 3, higher=False))
    quoted = spec.Row("quoted", published={metric.key: dict.fromkeys(table.bins, 0.847) for metric in metrics})
    changed = dataclasses.replace(table, **{"metrics": metrics, "rows": (*table.rows, quoted), **changes})
    monkeypatch.setattr(spec, "load", lambda id: changed)
    monkeypatch.setenv(pretrained_files.FOLDER, str(tmp_path / "none"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))


def test_fid_without_weights_is_not_available_and_says_why(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_fid(monkeypatch, tmp_path)
    assert reproduce("msanet.table3", "demo", overrides) == 0
    printed = capsys.readouterr().out
    mum = next(line for line in printed.splitlines() if line.startswith("| MUM "))
    assert mum.count("not available") == 1
    assert next(line for line in printed.splitlines() if line.startswith("| quoted ")).count("not available") == 0
    assert "- FID: not available: weights-inception-2015-12-05-6726825d.pth (torch-fidelity's" in printed
    (folder,) = (tmp_path / "runs" / "tables").glob("msanet.table3-demo*")
    lines = [line for line in csv.DictReader((folder / "table.csv").open()) if line["metric"] == "fid"]
    assert [(line["row"], line["measured"], bool(line["missing"])) for line in lines] == [
        ("No-MUM", "", True), ("MUM", "", True), ("quoted", "", False),
        *((title, "", True) for title in TITLES.values()),
    ]  # fmt: skip


def test_fid_is_measured_where_the_weights_are(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_fid(monkeypatch, tmp_path, bins=("0.1-0.2", "0.4-0.5"), rows=tuple(
        dataclasses.replace(row, published={}) for row in spec.load("msanet.table3").rows
    ))  # fmt: skip
    file = tmp_path / "inception.pth"
    file.touch()
    monkeypatch.setattr(pretrained_files, "inception", lambda source: Colours(f"{Path(source).name}, SHA-256 01234567"))
    assert reproduce("msanet.table3", "demo", [*overrides, f"weights.inception={file}"]) == 0
    printed = capsys.readouterr().out
    assert "FID: Inception v3 of torch-fidelity, inception.pth, SHA-256 01234567, n = 3 per bin" in printed
    assert "With fewer than 2048 pictures FID is biased upwards: only for ranking rows of this table." in printed
    assert "UNTRAINED" not in printed
    assert "PSNR against No-MUM" in printed
    assert "FID against" not in printed
    (folder,) = (tmp_path / "runs" / "tables").glob("msanet.table3-demo*")
    lines = [line for line in csv.DictReader((folder / "table.csv").open()) if line["metric"] == "fid"]
    assert all(float(line["measured"]) > 0 for line in lines)
    assert {line["against_reference"] for line in lines} == {""}  # a distance of sets has no pairs
    monkeypatch.setattr(pretrained_files, "inception", lambda source: Colours("untrained (random weights)"))
    assert reproduce("msanet.table3", "demo", [*overrides, "weights.inception=random"]) == 0
    assert "AN UNTRAINED NETWORK: these numbers are no FID" in capsys.readouterr().out


def test_lpips_is_measured_picture_by_picture_where_the_weights_are(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = spec.load("msanet.table3")
    rows = tuple(dataclasses.replace(row, published={}) for row in table.rows)
    with_lpips = dataclasses.replace(
        table, metrics=(*table.metrics, spec.Metric("lpips", "LPIPS", 3, higher=False)), rows=rows
    )
    monkeypatch.setattr(spec, "load", lambda id: with_lpips)
    monkeypatch.setenv(pretrained_files.FOLDER, str(tmp_path / "none"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))
    assert reproduce("msanet.table3", "demo", overrides) == 0
    printed = capsys.readouterr().out
    assert "- LPIPS: not available: alexnet-owt-7be5be79.pth (torchvision's AlexNet" in printed
    assert "not available" in next(line for line in printed.splitlines() if line.startswith("| MUM "))
    assert reproduce("msanet.table3", "demo", [*overrides, "weights.alexnet=random"]) == 0
    assert "AN UNTRAINED NETWORK: these numbers are no LPIPS" in capsys.readouterr().out
    tables = tmp_path / "runs" / "tables"
    files = sorted(tables.glob("msanet.table3-demo*/table.csv"), key=lambda file: file.stat().st_mtime)
    assert len(files) == 2  # other overrides, another folder, however long they are
    lines = [line for line in csv.DictReader(files[1].open()) if line["metric"] == "lpips"]
    assert all(0 < float(line["measured"]) < 2 for line in lines)
    assert float(lines[1]["low"]) <= float(lines[1]["against_reference"]) <= float(lines[1]["high"])


def test_times_per_picture_are_columns_without_intervals(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = spec.load("msanet.table3")
    times = tuple(spec.Metric(key, key, 4, "s", higher=False) for key in spec.TIMES)
    monkeypatch.setattr(spec, "load", lambda id: dataclasses.replace(table, metrics=(*table.metrics, *times)))
    assert reproduce("msanet.table3", "demo", overrides) == 0
    printed = capsys.readouterr().out
    assert "- Seconds: one picture at a time, float32, " in printed
    assert "- Training time: per picture of a batch" in printed
    assert "seconds against" not in printed
    (folder,) = (tmp_path / "runs" / "tables").glob("msanet.table3-demo*")
    for key in spec.TIMES:
        lines = [line for line in csv.DictReader((folder / "table.csv").open()) if line["metric"] == key]
        known = [line for line in lines if line["measured"]]
        assert len(known) == (2 + len(TITLES) if key == spec.SECONDS else 2)
        assert all(0 < float(line["measured"]) < 60 for line in known)
        assert {line["against_reference"] for line in lines} == {""}


def test_a_pooled_metric_is_read_from_the_evaluation_and_has_no_interval(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = dataclasses.replace(spec.load("msanet.table3"), protocol="lbam", bins=("0.1-0.2", "all"))
    results = measure.measure(table, "demo", [0], overrides)
    summary = results["MUM"].summaries[0]
    for bin in table.bins:
        assert results["MUM"].mean("psnr", bin) == summary.means[bin]["psnr"]
    assert results["MUM"].per_picture("psnr", "all") is None
    values = results["MUM"].per_picture("ssim", "0.1-0.2")
    assert values is not None
    assert values.mean() == pytest.approx(summary.means["0.1-0.2"]["ssim"], abs=1e-6)
    assert results["MUM"].mean("psnr", "0.9-1.0") is None


def test_protocols_are_compared_on_one_evaluation(overrides: list[str], tmp_path: Path) -> None:
    table = spec.load("protocols.table")
    overrides = [o.replace("size=32", "size=64") for o in overrides]  # EdgeConnect's window is 51 wide
    results = measure.measure(table, "demo", [0], overrides)
    assert len(list((tmp_path / "runs").glob("*/*/seed0/run.json"))) == 1
    names = [row.protocol for row in table.rows]
    config = compose_config(["experiment=msanet_places2_mum", "scale=demo", "masks=irregular", *overrides])
    for name in names:
        config.evaluation.protocol = name
        alone = measure._train(config, name)
        for bin, means in alone.means.items():
            assert results[name].summaries[0].means[bin] == means
    assert "psnr" not in results["lbam"].values  # pooled, no mean over pictures
    folder = tmp_path / "rendered"
    report = make_report(table, results, "demo", overrides)
    text = write_table(folder, report)
    assert text.count("\n- Protocol `") == len(names)
    lines = [line for line in csv.DictReader((folder / "table.csv").open()) if line["bin"] == "0.2-0.3"]
    assert {line["protocol"] for line in lines} == set(names)
    ssim = {line["row"]: line["measured"] for line in lines if line["metric"] == "ssim"}
    assert ssim["mmagic"] == ssim["standard"]
    assert len({ssim[name] for name in ("standard", "edgeconnect", "lbam", "rn")}) == 4
    assert ssim["deepfill"] == ""
    against = {line["row"]: line["against_reference"] for line in lines if line["metric"] == "l1_pct"}
    assert float(against["mmagic"]) > 0  # over the hole alone
    assert {comparison.row for comparison in report.differences if comparison.other is None} == set(names) - {"lbam"}
    assert (folder / "holes.pdf").exists()
    assert not (folder / "pictures.png").exists()


def test_a_row_that_fails_leaves_the_others_and_says_why(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = run_training

    def failing(config: DictConfig, label: str = "") -> Path:
        if config.name.endswith("msag"):
            raise UserError("the disk of row one is full")
        return original(config, label)

    monkeypatch.setattr("inpaintlab.training.run.run_training", failing)
    assert reproduce("msanet.table3", "demo", overrides) == 1
    printed = capsys.readouterr().out
    assert "No-MUM: not available: the disk of row one is full" in printed
    assert "1.435 M" not in printed  # narrow networks here
    assert "| MUM " in printed


def test_rows_on_different_pairs_are_refused(overrides: list[str], folder: Path) -> None:
    reproduce("msanet.table3", "demo", overrides)
    config = compose_config(["experiment=msanet_places2_mum", "scale=demo", *overrides])
    (metrics,) = run_folder(config).glob("evaluation-*/metrics.json")
    metrics.write_text(metrics.read_text().replace('"pairs_digest": "', '"pairs_digest": "0'))
    with pytest.raises(UserError, match="were evaluated on different pairs"):
        reproduce("msanet.table3", "demo", overrides)


@pytest.mark.parametrize(
    "arguments",
    [
        ["msanet.table3", "--scale", "demo", "seed=0,1,2", "batches=3"],
        ["--scale", "demo", "msanet.table3", "seed=0,1,2", "batches=3"],
        ["msanet.table3", "seed=0,1,2", "--scale", "demo", "batches=3", "--publish"],
    ],
)
def test_overrides_may_stand_anywhere(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[object, ...]] = []
    monkeypatch.setattr(
        table_command, "reproduce", lambda id, scale, overrides, **_: seen.append((id, scale, overrides))
    )
    table_command.main(arguments)
    assert seen == [("msanet.table3", "demo", ["seed=0,1,2", "batches=3"])]


def test_wrong_overrides_stop_before_any_training(overrides: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inpaintlab.training.run.run_training", lambda *_: pytest.fail("trained"))
    for bad, message in (("batchs=3", "did you mean batches"), ("seed=0;1", "whole numbers separated by commas")):
        with pytest.raises(UserError, match=message):
            reproduce("msanet.table3", "demo", [*overrides, bad])


def test_publishing_fills_marked_blocks_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "experiments" / "msanet").mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "README.md").write_text("before\n<!-- table msanet.table3 demo -->\nold\n<!-- end -->\nafter\n")
    (tmp_path / "rendered").mkdir()
    (tmp_path / "rendered" / "table.md").write_text("| new |\n")
    monkeypatch.setattr(publish.paths, "experiments", lambda: tmp_path / "experiments")
    changed = publish.update_pages("msanet.table3", "demo", tmp_path / "rendered")
    assert (tmp_path / "README.md").read_text() == (
        "before\n<!-- table msanet.table3 demo -->\n| new |\n<!-- end -->\nafter\n"
    )
    assert {path.name for path in changed} == {"table3-demo.md", "README.md"}


def test_publishing_fills_narrow_blocks_from_the_csv_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    committed = publish.paths.experiments() / "msanet" / "results" / "table3-demo.csv"
    expected = narrow(spec.read("msanet.table3"), committed)
    (tmp_path / "experiments" / "msanet").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / "rendered").mkdir()
    for path, text in (
        ("pyproject.toml", ""),
        ("README.md", ""),
        ("docs/a.md", "<!-- table msanet.table3 demo narrow -->\nold\n<!-- end -->\n"),
        ("rendered/table.md", "| wide |\n"),
        ("rendered/table.csv", committed.read_text()),
    ):
        (tmp_path / path).write_text(text)
    table = spec.read("msanet.table3")
    monkeypatch.setattr(publish.paths, "experiments", lambda: tmp_path / "experiments")
    monkeypatch.setattr(publish.spec, "read", lambda _: table)
    publish.update_pages("msanet.table3", "demo", tmp_path / "rendered")
    filled = (tmp_path / "docs" / "a.md").read_text()
    assert filled == f"<!-- table msanet.table3 demo narrow -->\n{expected.strip()}\n<!-- end -->\n"
    assert max(line.count("|") for line in filled.splitlines()) == 6
    assert "| PSNR [dB] |    MUM |    26.615 |   24.688 |    **-0.689 [-1.006, -0.415]** |" in filled
