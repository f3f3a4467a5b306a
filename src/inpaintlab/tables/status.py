"""The status of each table: what is measured, what is missing, and the next command; `inpaintlab table --list`.

Specs, configs and results are read as plain text, without Hydra or torch, so that the list appears within a second.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from inpaintlab.checkpoints import pretrained_files
from inpaintlab.tables.spec import Table
from inpaintlab.utils import paths


@dataclass(frozen=True)
class State:
    """The status of one table.

    Args:
        word: "counted", "quoted only", "not measured", "demo-measured" or "measured".
        rows: how many rows are measured at the scale that `word` names, and how many can be.
        missing: data, weights and systems that a measurement at paper scale needs and that are not here.
        command: measures the table, or the next part of it; "" if nothing is left to measure.
    """

    word: str
    rows: tuple[int, int]
    missing: tuple[str, ...] = ()
    command: str = ""

    def lines(self) -> Iterator[str]:
        """Yield the lines printed below the table's title."""
        counts = "" if self.word in ("counted", "quoted only", "not measured") else ": {} of {} rows".format(*self.rows)
        yield f"{self.word}{counts}"
        if self.missing:
            yield f"missing for paper scale: {'; '.join(self.missing)}"
        if self.command:
            yield self.command


def of(table: Table, output: Path) -> State:
    """Return the status of a table, from the committed results and those below `output`."""
    rows = [row.label for row in table.rows if row.experiment]
    counts = (0, len(rows))
    if table.kind == "parameters":
        return State("counted", counts, command=f"make reproduce-table TABLE={table.id}")
    if not rows:
        return State("quoted only", counts)
    done = {scale: measured_rows(table, scale, output) for scale in ("demo", "paper")}
    missing = tuple(_missing(table))
    paper = f'make reproduce-table TABLE={table.id} SCALE=paper ARGS="data.root=PICTURES"'
    demo = f"make reproduce-table TABLE={table.id}"
    if done["paper"]:
        command = "" if done["paper"] >= set(rows) else paper
        return State("measured", (len(done["paper"]), len(rows)), missing, command)
    if done["demo"]:
        command = paper if done["demo"] >= set(rows) else demo
        return State("demo-measured", (len(done["demo"]), len(rows)), missing, command)
    return State("not measured", counts, missing, demo)


def measured_rows(table: Table, scale: str, output: Path) -> set[str]:
    """Return the rows of the spec that have a number in some result at this scale."""
    system, _, name = table.id.partition(".")
    files = [paths.experiments() / system / "results" / f"{name}-{scale}.csv"]
    files += (output / "tables").glob(f"{table.id}-{scale}*/table.csv")
    found = set()
    for path in files:
        if path.exists():
            with path.open() as file:
                found |= {line["row"] for line in csv.DictReader(file) if line["measured"] and line["scale"] == scale}
    return found & {row.label for row in table.rows}


def choices(config: Path) -> dict[str, str]:
    """Return group -> option that a config chooses (such as "model" or "data"), including the configs it builds on."""
    found: dict[str, str] = {}
    for item in (yaml.safe_load(config.read_text()) or {}).get("defaults", []):
        if isinstance(item, dict):
            found |= {str(key).removeprefix("override /"): value for key, value in item.items()}
        elif item != "_self_":
            found |= choices(config.with_name(f"{item}.yaml"))
    return found


def _missing(table: Table) -> Iterator[str]:
    conf = paths.conf()
    default = choices(conf / "train.yaml")
    chosen = [default | choices(conf / "experiment" / f"{name}.yaml") for name in table.experiments]
    data = sorted({choice["data"] for choice in chosen} - {"photos"})
    if data:
        yield f"data {', '.join(data)} (data.root=PICTURES)"
    needed = set(table.networks.values())
    for model in {choice["model"] for choice in chosen}:
        text = (conf / "model" / f"{model}.yaml").read_text()
        needed |= {name for name in pretrained_files.FILES if f"${{weights.{name}}}" in text}
    absent = sorted(name for name in needed if pretrained_files.missing(name, None))
    if absent:
        yield f"weights {', '.join(absent)} (`inpaintlab weights status`)"
    quoted = [row.label for row in table.rows if not row.experiment]
    if quoted:
        yield f"systems for the quoted rows {' / '.join(quoted)}"


def overview(tables: list[Table], output: Path) -> str:
    """Return all tables with their status, as text."""
    lines: list[str] = []
    for table in tables:
        lines.append(f"{table.id:20} {table.title} ({table.source})")
        lines += [f"{'':20} {line}" for line in of(table, output).lines()]
    return "\n".join(lines)
