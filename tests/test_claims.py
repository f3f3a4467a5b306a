"""Verdicts on differences to print, claims of the papers as statements, and inequalities that every table must obey."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from records import evaluation_results, run_record

from inpaintlab.checkpoints import checkpoint
from inpaintlab.errors import UserError
from inpaintlab.tables import (
    above,
    cells,
    claims,
    consistency,
    differences,
    given_checkpoints,
    measure,
    spec,
    text_formats,
)
from inpaintlab.tables.report import Report, make_report
from inpaintlab.tables.results import Measured


def content(**changes: object) -> dict[str, object]:
    row = {"psnr": {"all": 20.0}, "l1_pct": {"all": 3.0}}
    return {
        "id": "x.table1",
        "title": "t",
        "source": "s",
        "metrics": {
            "psnr": {"label": "PSNR", "decimals": 2},
            "l1_pct": {"label": "L1", "decimals": 2, "higher": False},
        },
        "rows": [
            {"label": "a", "experiment": "x", "published": row},
            {"label": "b", "published": {"psnr": {"all": 21.0}, "l1_pct": {"all": 2.5}}},
        ],
        **changes,
    }


def measured(psnr: np.ndarray, l1: np.ndarray, seeds: int = 3) -> Measured:
    """Equal seeds, pictures with one hole each."""
    means = {"psnr": float(psnr.mean()), "l1_pct": float(l1.mean())}
    results = evaluation_results({"0.2-0.3": means, "all": means})
    return Measured(
        dict.fromkeys(range(seeds), results),
        {key: np.tile(values[None, :, None], (seeds, 1, 1)) for key, values in (("psnr", psnr), ("l1_pct", l1))},
        ("0.2-0.3",),
        run_record(),
    )


def trivial(psnr: float = 10.0, l1: float = 9.0) -> dict[str, Measured]:
    """The fills that a row must beat."""
    return {label: measured(np.full(60, psnr), np.full(60, l1)) for label in above.TRIVIAL}


def report(
    table: spec.Table,
    results: dict[str, Measured],
    *,
    comparable: bool = False,
    fills: dict[str, Measured] | None = None,
) -> Report:
    """Without footnotes, which need more than `measured` gives."""
    fills = trivial() if fills is None else fills
    found = differences.compute(results, [*cells.comparisons(table), *claims.comparisons(table)])
    answers = claims.check(table, results, found, fills, comparable)
    of_rows = cells.cells(table, results, found, comparable)
    return Report(table, results, "demo", found, of_rows, answers, [], {}, comparable)


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, 60)


# ---------------------------------------------------------------------- verdicts
@pytest.mark.parametrize(
    ("psnr", "l1", "verdicts"),
    [
        (20.3, 3.2, ["as published", "as published"]),
        (20.31, 2.7, ["better", "better"]),  # beyond the tolerance and the rounding of what is printed
        (19.6, 3.3, ["worse", "worse"]),
    ],
)
def test_verdicts_use_the_stated_tolerance_and_the_direction(psnr: float, l1: float, verdicts: list[str]) -> None:
    table = spec.parse(content(), "x.yaml")
    results = {"a": measured(np.full(9, psnr), np.full(9, l1)), "b": Measured()}
    found = report(table, results, comparable=True)
    assert [cell.verdict for cell in found.cells] == [*verdicts, "", ""]
    assert f"{psnr - 20:+.2f}, {verdicts[0]}" in text_formats.markdown(found)
    found = report(table, results)
    assert {cell.verdict for cell in found.cells} == {"not comparable", ""}
    assert "not comparable" not in text_formats.markdown(found)
    assert {cell.difference for cell in found.cells} == {None}
    assert f"{psnr - 20:+.2f}" not in text_formats.markdown(found)


def test_only_the_run_that_the_paper_describes_is_held_against_it() -> None:
    assert cells.is_comparable("paper", ["data.root=P", "output=o", "trainer=ddp", "trainer.devices=4"])
    assert not cells.is_comparable("paper", ["data.root=P", "batches=3"])
    assert not cells.is_comparable("paper", ["data=photos"])
    assert not cells.is_comparable("demo", [])


# ---------------------------------------------------------------------- claims
CLAIM = {"says": "b is better", "better": "b", "than": "a"}


@pytest.mark.parametrize(
    ("gain", "answer"), [(0.5, "confirmed"), (0.0, "undecided"), (-0.5, "not confirmed"), (None, "not measured")]
)
def test_a_claim_is_answered_by_the_paired_interval(pictures: np.ndarray, gain: float | None, answer: str) -> None:
    table = spec.parse(content(claims=[CLAIM]), "x.yaml")
    noise = np.random.default_rng(1).normal(0, 0.3, 60)
    noise -= noise.mean()
    results = {"a": measured(20 + pictures, 3 - 0.1 * pictures), "b": Measured()}
    if gain is not None:
        results["b"] = measured(20 + pictures + gain + noise, 3 - 0.1 * pictures - gain + noise)
    found = report(table, results)
    psnr, l1 = found.answers
    assert (psnr.answer, l1.answer) == (answer, answer)
    assert psnr.in_print == (1.0,)
    assert l1.in_print == (0.5,)  # lower is better
    line = text_formats.markdown(found).splitlines()[-1]
    assert [part.strip() for part in line.split("|")][1:4] == ["b is better", "L1", "+0.50"]
    assert line.endswith(f"{answer} |")
    if gain is not None:
        assert psnr.least is not None
        assert psnr.least.mean == pytest.approx(gain)
        assert psnr.least.low <= psnr.least.mean <= psnr.least.high


@pytest.mark.parametrize(
    ("seeds", "fills", "reasons"),
    [
        (3, trivial(), ["", ""]),
        (1, trivial(), ["1 seed, and at least 3 are needed"] * 2),
        (2, {}, ["2 seeds, and at least 3 are needed; mean colour and nearest pixel are not measured"] * 2),
        (3, trivial(psnr=20.9), ["a is not above mean colour and nearest pixel", ""]),
        (3, trivial(l1=1.0), ["", "; ".join(f"{row} is not above mean colour and nearest pixel" for row in "ba")]),
        (
            3,
            trivial() | {"mean colour": measured(np.full(60, 30.0), np.full(60, 9.0))},
            ["b is not above mean colour; a is not above mean colour", ""],
        ),
    ],
)
@pytest.mark.parametrize("comparable", [False, True])
def test_a_claim_is_judged_only_with_seeds_and_above_the_trivial_fills(
    seeds: int, fills: dict[str, Measured], reasons: list[str], comparable: bool
) -> None:
    table = spec.parse(content(claims=[CLAIM]), "x.yaml")
    results = {
        "a": measured(np.full(60, 20.0), np.full(60, 3.0), seeds),
        "b": measured(np.full(60, 21.0), np.full(60, 2.0), seeds),
    }
    answers = report(table, results, fills=fills, comparable=comparable).answers
    words = "not judged: " if comparable else "not judged at this scale: "
    assert [one.answer for one in answers] == [words + reason if reason else "confirmed" for reason in reasons]


def test_a_claim_about_one_training_is_not_judged() -> None:
    table = spec.parse(content(claims=[CLAIM]), "x.yaml")
    results = {label: measured(np.full(60, 20.0), np.full(60, 3.0)) for label in "ab"}
    results["b"].same_as = "a"
    found = report(table, results)
    assert {one.answer for one in found.answers} == {"not judged at this scale: b and a share one training"}
    assert not found.differences


def test_a_claim_over_several_rows_needs_all_of_them(pictures: np.ndarray) -> None:
    rows = [{"label": label, "experiment": "x"} for label in "abc"]
    table = spec.parse(content(rows=rows, claims=[{"says": "c", "better": "c", "than": "others"}]), "x.yaml")
    assert table.claims[0].than == ("a", "b")
    base = measured(20 + pictures, 3 + pictures)
    results = {"a": base, "b": Measured(), "c": measured(21 + pictures, 2 + pictures)}
    answers = report(table, results).answers
    assert [one.answer for one in answers] == ["undecided", "undecided"]
    assert "(1 of 2 measured)" in text_formats.claim_lines(answers)[0][3]
    results["b"] = measured(22 + pictures, 1 + pictures)
    assert [one.answer for one in report(table, results).answers] == ["not confirmed", "not confirmed"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"better": "z"}, "claim 'b is better': the row must be one of a, b; got 'z'"),
        ({"metrics": ["ssim"]}, "the metric must be one of psnr, l1_pct; got 'ssim'"),
        ({"bins": ["0.1-0.2"]}, "the bin must be one of all; got '0.1-0.2'"),
        ({"then": "a"}, "unknown key 'then'; did you mean 'than'?"),
    ],
)
def test_wrong_claims_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        spec.parse(content(claims=[{**CLAIM, **change}]), "x.yaml")


# ---------------------------------------------------------------------- consistency
def printed(l1: float, l2: float | None, psnr: float, **changes: object) -> list[str]:
    metrics = {key: {"label": key, "decimals": 2} for key in ("l1_pct", "l2_pct", "psnr")}
    values = {"l1_pct": l1, "l2_pct": l2, "psnr": psnr}
    rows = [{"label": "r", "published": {key: {"0.2-0.3": value} for key, value in values.items()}}]
    table = spec.parse(content(metrics=metrics, rows=rows, bins=["0.2-0.3"], **changes), "x.yaml")
    return consistency.check(table, {"r": Measured()})


def test_numbers_that_contradict_each_other_are_named() -> None:
    assert printed(2.0, 0.5, 24.0)[0].endswith("(2 checks).")
    assert "L2 is less than the PSNR allows (by a factor of 1.94" in printed(2.0, 0.2, 24.0)[0]
    assert "L1 is 1.15 times what errors in the hole alone can have" in printed(4.0, 0.4, 24.5)[0]  # sqrt(.3 * .00405)
    assert printed(3.4, None, 24.0)[0].endswith("(1 checks).")  # type: ignore[arg-type]
    assert "may lift by up to 10%" in printed(3.6, None, 24.0)[0]
    assert "may lift" not in printed(5.0, None, 24.0)[0]
    assert printed(2.0, 0.2, 24.0, protocol="rn") == []  # other definitions


def test_the_slides_of_deepfill_fit_errors_over_the_hole_only() -> None:
    table = spec.load("deepfill_v1.table1")
    nothing = {row.label: Measured() for row in table.rows}
    assert "satisfy" in consistency.check(table, nothing)[0]
    whole = [
        quotient
        for row in table.rows
        if row.published
        for quotient in [row.published["l1_pct"]["all"] / 100 / (0.25 * row.published["l2_pct"]["all"] / 100) ** 0.5]
    ]
    assert min(whole) > 1.15  # with a quarter of the area missing they could not be errors of composites


def test_measured_numbers_of_real_errors_are_consistent(tiny: list[str], tmp_path: Path) -> None:
    overrides = [o for o in tiny if not o.startswith("scale=")] + ["batches=1"]
    table = spec.load("msanet.table3")
    results = measure.measure(table, "demo", [0], overrides)
    found = list(consistency.measured(table, results))
    assert {finding.law for finding in found} == {"Jensen", "Cauchy-Schwarz"}
    assert len(found) == 2 * (7 + 6)  # both rows: six bins and the mean over them, which has no share
    assert all(0 < finding.quotient <= 1 for finding in found)


# ---------------------------------------------------------------------- authors' weights
def test_authors_weights_get_a_row_of_their_own(tiny: list[str], tmp_path: Path) -> None:
    overrides = [o for o in tiny if not o.startswith("scale=")] + ["batches=1"]
    own = measure.measure(spec.load("msanet.table3"), "demo", [0], overrides)
    last = next((tmp_path / "runs").glob("msanet_places2_mum/*/seed0/checkpoints/last.ckpt"))
    theirs = checkpoint.read(last) | {"batches_done": 0}  # as `inpaintlab import` writes it
    torch.save(theirs, tmp_path / "theirs.ckpt")
    table, given = given_checkpoints.with_given(spec.load("msanet.table3"), {"MUM": tmp_path / "theirs.ckpt"})
    label = "MUM, authors' weights"
    assert [row.label for row in table.rows] == ["No-MUM", "MUM", label]
    results = measure.measure(table, "demo", [0], overrides, given)
    assert [result.origin for result in results.values()] == ["trained here", "", "authors' weights"]
    found = make_report(table, results, "demo", overrides)
    by_row = {cell.row.label: cell for cell in found.cells if cell.metric.key == "psnr"}
    assert by_row["MUM"].measured is None
    assert by_row[label].published == by_row["MUM"].published == 26.615
    assert by_row[label].measured == own["MUM"].mean("psnr", "all")
    assert by_row[label].origin == "authors' weights"
    assert f"Not trained here, the authors' weights evaluated: {label}." in found.footnotes
    assert any(line.startswith("Changed: `") for line in found.footnotes)
    with pytest.raises(UserError, match="has no row 'full'; its rows are No-MUM, MUM"):
        given_checkpoints.with_given(spec.load("msanet.table3"), {"full": last})
