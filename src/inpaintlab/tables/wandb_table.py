"""What a table adds to the W&B runs of its rows: group, name, and a table of published and measured numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from inpaintlab.tables.spec import Row, Table

if TYPE_CHECKING:
    from inpaintlab.evaluation.results import EvaluationResults
    from inpaintlab.tables.results import Measured

COLUMNS = (
    "table", "row", "experiment", "seed", "metric", "bin",
    "published", "measured", "difference", "protocol", "pairs_hash",
)  # fmt: skip


def overrides(table: Table, row: Row, seed: int) -> list[str]:
    """Return the config overrides that put a run into the table's group, under the name of its row."""
    name = f"{row.label} seed{seed}".replace("'", "\\'")
    return [f"logger.wandb.group={table.id}", f"logger.wandb.name='{name}'"]


def log(table: Table, results: Mapping[str, Measured], *, comparable: bool) -> None:
    """Add the table `results/<table>` to the W&B run of every row and seed that was logged there.

    Args:
        comparable: see `cells.is_comparable`.
    """
    own = [row for row in table.rows if not results[row.label].same_as]
    for row in own:
        for seed, summary in results[row.label].summaries.items():
            folder = summary.folder.parent
            if (folder / "wandb").is_dir():
                from inpaintlab.tracking import loggers

                config = yaml.safe_load((folder / "config.yaml").read_text())
                if config["logger"]["wandb"]:
                    loggers.log_results(config, folder, table.id, COLUMNS, lines(table, row, seed, summary, comparable))


def lines(table: Table, row: Row, seed: int, summary: EvaluationResults, comparable: bool) -> list[list[Any]]:
    """Return one line for each metric and bin, with the columns `COLUMNS`; no difference unless `comparable`."""
    found = []
    for metric in table.metrics:
        for bin in table.bins:
            measured = summary.means.get(bin, {}).get(metric.key)
            published = row.published.get(metric.key, {}).get(bin)
            difference = None
            if comparable and measured is not None and published is not None:
                difference = measured - published
            place = [table.id, row.label, row.experiment, seed, metric.key, bin]
            found.append([*place, published, measured, difference, summary.protocol, summary.pairs_digest])
    return found
