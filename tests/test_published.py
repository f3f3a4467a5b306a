"""Every spec agrees with the printed tables, number by number; `experiments/published.yaml` is read from the papers."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from inpaintlab.tables import spec
from inpaintlab.utils import paths

PUBLISHED = yaml.safe_load((paths.experiments() / "published.yaml").read_text())
PRINTED: dict[str, dict[str, Any]] = {
    table["id"].replace("deepfill.", "deepfill_v1."): table for table in PUBLISHED["tables"]
}
TABLES = (*(f"msanet.table{k}" for k in range(1, 7)), "lbam.table1", "lbam.table2", "lbam.user_study",
          "charef.table1", "deepfill_v1.table1")  # fmt: skip
CSA = ("csa.table1", "csa.table2", *(f"csa.figure{k}" for k in range(8, 12)))


@pytest.mark.parametrize("id", [*TABLES, *CSA])
def test_every_quantitative_table_has_a_spec(id: str) -> None:
    assert id in spec.known()


def test_no_printed_table_is_left_out() -> None:
    assert set(PRINTED) <= {*TABLES, *CSA}


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


@pytest.mark.parametrize("id", [id for id in spec.known() if id in PRINTED])
def test_published_numbers_are_the_printed_ones(id: str) -> None:
    table, printed = spec.load(id), printed_rows(id)
    of_rows = {(row.method or row.block): row.published for row in table.rows if row.published}
    assert None not in of_rows
    assert "" not in of_rows, f"{id}: a row with published numbers names its `method` in experiments/published.yaml"
    assert of_rows == printed
    for metric in table.metrics:
        if "metrics" in PRINTED[id]:
            assert metric.decimals == PRINTED[id]["metrics"][metric.key]["decimals"]
            assert metric.higher == (PUBLISHED["metrics"][metric.key]["direction"] == "higher")
        for values in printed.values():
            for number in values[metric.key].values():
                assert number is None or round(number, metric.decimals) == number
    if "bins" in PRINTED[id]:
        assert list(table.bins) == PRINTED[id]["bins"]


def test_the_user_study_quotes_the_claim() -> None:
    (claim,) = [claim for claim in PUBLISHED["claims"] if claim["key"] == "user_study"]
    table = spec.load("lbam.user_study")
    assert {row.method: row.published["votes_pct"]["all"] for row in table.rows} == claim["value"]


@pytest.mark.parametrize("id", [id for id in spec.known() if id not in PRINTED and id != "lbam.user_study"])
def test_tables_that_are_not_in_print_publish_nothing(id: str) -> None:
    assert not any(row.published for row in spec.load(id).rows)
