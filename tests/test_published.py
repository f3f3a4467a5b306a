"""Each spec agrees, number by number, with `experiments/<system>/published.yaml`, which was read from the paper."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from inpaintlab.tables import claims, spec
from inpaintlab.tables.results import Measured
from inpaintlab.utils import paths

PUBLISHED: dict[str, dict[str, Any]] = {
    path.parent.name: yaml.safe_load(path.read_text()) for path in paths.experiments().glob(f"*/{spec.PUBLISHED}")
}
PRINTED: dict[str, dict[str, Any]] = {table["id"]: table for paper in PUBLISHED.values() for table in paper["tables"]}
FIGURES = [id for paper in PUBLISHED.values() for id in paper.get("figures", [])]
# Claims that a table quotes as its only column.
QUOTED = {claim["table"]: claim for paper in PUBLISHED.values() for claim in paper["claims"] if "table" in claim}
COMPARED = [
    (id, metric, tuple(counts)) for id in PRINTED for metric, counts in PRINTED[id].get("claims_in_print", {}).items()
]


@pytest.mark.parametrize("id", [*PRINTED, *FIGURES, *QUOTED])
def test_everything_that_is_printed_has_a_spec(id: str) -> None:
    assert id in spec.known()


@pytest.mark.parametrize("system", PUBLISHED)
def test_a_file_holds_the_tables_of_its_own_paper_and_explains_its_keys(system: str) -> None:
    paper = PUBLISHED[system]
    assert paper["paper"]["own_method"] == system
    for table in paper["tables"]:
        assert table["id"].startswith(f"{system}.")
        assert set(table.get("metrics", {})) <= set(paper["metrics"])
        assert set(table.get("bins", [])) <= set(paper["bins"])
        for row in table.get("rows", []):
            assert row.get("method", system) in paper["methods"]
            assert row.get("variant", "") in ("", *paper.get("variants", {}))


def printed_rows(id: str) -> dict[str, spec.Values]:
    """What the paper prints, by the name that a spec's row gives as `method`."""
    table = PRINTED[id]
    if "structures" in table:
        return {
            name: {"parameters": {"structure": s["params_structure_k"], "total": s["params_total_k"]}}
            for name, s in table["structures"].items()
        }
    rows = {}
    for row in table["rows"]:
        name = row.get("variant") or row["method"]
        rows[f"{name}, {row['dataset']}" if "dataset" in row else name] = row["values"]
    return rows


@pytest.mark.parametrize("id", PRINTED)
def test_published_numbers_are_the_printed_ones(id: str) -> None:
    table, printed = spec.load(id), printed_rows(id)
    of_rows = {(row.method or row.block): row.published for row in table.rows if row.published}
    assert None not in of_rows
    assert "" not in of_rows, f"{id}: a row with published numbers must give its `method` in {spec.PUBLISHED}"
    assert of_rows == printed
    directions = PUBLISHED[id.partition(".")[0]]["metrics"]
    for metric in table.metrics:
        if "metrics" in PRINTED[id]:
            assert metric.decimals == PRINTED[id]["metrics"][metric.key]["decimals"]
            assert metric.higher == (directions[metric.key]["direction"] == "higher")
        for values in printed.values():
            for number in values[metric.key].values():
                assert number is None or round(number, metric.decimals) == number
    if "bins" in PRINTED[id]:
        assert list(table.bins) == PRINTED[id]["bins"]


@pytest.mark.parametrize("id", QUOTED)
def test_a_quoted_table_repeats_the_claim(id: str) -> None:
    claim = QUOTED[id]
    table = spec.load(id)
    assert {row.method: row.published[claim["metric"]]["all"] for row in table.rows} == claim["value"]


@pytest.mark.parametrize("id", [id for id in spec.known() if id not in PRINTED and id not in QUOTED])
def test_tables_that_are_not_in_print_publish_nothing(id: str) -> None:
    assert not any(row.published for row in spec.load(id).rows)


@pytest.mark.parametrize(("id", "metric", "counts"), COMPARED)
def test_printed_claims_hold_as_often_as_the_papers_tables_say(id: str, metric: str, counts: tuple[int, int]) -> None:
    """`claims_in_print` counts, by hand, the printed comparisons that hold and all of them."""
    table = spec.load(id)
    answers = claims.check(table, {row.label: Measured() for row in table.rows}, {}, {})
    gains = [gain for one in answers if one.metric.key == metric for gain in one.in_print]
    assert (sum(gain > 0 for gain in gains), len(gains)) == counts
