"""Reproduce a table: measure it and write it in all its formats; render all tables."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inpaintlab.errors import UserError

if TYPE_CHECKING:
    from inpaintlab.tables.spec import Table

OF_TABLE = {  # settings that belong to the table; an override of them would make its page wrong
    "scale": "give it as --scale",
    "experiment": "its rows choose their experiments",
    "masks": "its holes are those of the paper's table; `inpaintlab evaluate` takes others",
    "evaluation.protocol": "its numbers are those of the paper's; `inpaintlab evaluate` takes others",
}


def reproduce(
    id: str,
    scale: str = "demo",
    overrides: Sequence[str] = (),
    *,
    publish: bool = False,
    given: Mapping[str, Path] | None = None,
    jobs: int | None = None,
    pictures: Sequence[int] = (),
) -> int:
    """Measure and render a table into `<output>/tables/<id>-<scale>/`.

    Args:
        publish: update the committed pages too.
        given: see `given_checkpoints.with_given`.
        jobs: how many rows to train at once, each in its own process. Overrides that choose a launcher do the same.
        pictures: see `figures.sheet`.

    Returns:
        The number of rows that could not be measured.
    """
    from inpaintlab.sweep.jobs import make_launcher
    from inpaintlab.tables import spec
    from inpaintlab.tables.fill_rows import measure_fills
    from inpaintlab.tables.given_checkpoints import with_given
    from inpaintlab.tables.measure import measure
    from inpaintlab.tables.publish import update_pages
    from inpaintlab.tables.report import make_report
    from inpaintlab.tables.write import remember_request, write_table
    from inpaintlab.utils.atomic_write import require_writable

    table, paths = with_given(spec.load(id), given or {})
    seeds, rest = split_seeds(overrides)
    how = [o for o in rest if o.startswith("hydra")] + ([f"hydra.launcher.jobs={jobs}"] if jobs else [])
    rest = [o for o in rest if not o.startswith("hydra")]
    for key, instead in OF_TABLE.items():
        if any(o.partition("=")[0] == key for o in rest):
            raise UserError(f"{key}= cannot be overridden for a table: {instead}")
    launcher = make_launcher([*how, *rest, f"experiment={table.experiments[0]}", f"scale={scale}"]) if how else None
    output = output_folder(rest)
    folder = require_writable(output / "tables" / _folder_name(id, scale, rest), below=output)
    results = measure(table, scale, seeds, rest, paths, launcher)
    fills = measure_fills(table, scale, rest, results)
    text = write_table(folder, make_report(table, results, scale, rest, fills), pictures)
    remember_request(folder, id, scale, seeds, rest, given or {})
    print(f"\n{text}\nwritten to {folder}/table.html, .md, .csv and .tex")
    if publish:
        for page in update_pages(id, scale, folder):
            print(f"updated {page}")
    return sum(bool(result.missing) for result in results.values())


def render_all(overrides: Sequence[str] = ()) -> None:
    """Render every table again from the results below `<output>`, without any training or evaluation."""
    from inpaintlab.tables import spec
    from inpaintlab.tables.write import read_requests, write_index
    from inpaintlab.utils.atomic_write import require_writable
    from inpaintlab.utils.process import explain

    output = output_folder(overrides)
    require_writable(output / "tables", below=output)
    entries = []
    for id in spec.known():
        made = list(read_requests(output, id))
        for folder, request in made or [(output / "tables" / _folder_name(id, "demo", []), {})]:
            try:
                state = _render(spec.load(id), folder, request, overrides)
            except Exception as error:
                if explain(error) is None:
                    raise
                print(f"{id}: not rendered: {explain(error)}", file=sys.stderr)
                continue
            entries.append((folder, spec.load(id), state))
            print(f"{state:24} {folder}/table.html")
    write_index(entries, output / "tables" / "index.html")
    print(f"{'all tables':24} {output}/tables/index.html")


def _render(table: Table, folder: Path, request: Mapping[str, Any], overrides: Sequence[str]) -> str:
    """Render one table into `folder`; return its state for the index.

    Args:
        request: how the table was asked for; empty if it never was.
        overrides: with `output=`, where the results are now.

    Raises:
        UserError: if `folder` holds a table whose results are no longer there.
    """
    from inpaintlab.tables.fill_rows import measure_fills
    from inpaintlab.tables.given_checkpoints import with_given
    from inpaintlab.tables.measure import measure
    from inpaintlab.tables.report import make_report
    from inpaintlab.tables.results import Measured
    from inpaintlab.tables.write import write_table

    scale = str(request.get("scale", "demo"))
    rest = [o for o in request.get("overrides", []) if not o.startswith("output=")]  # the results may have moved
    rest += [o for o in overrides if o.startswith("output=")]
    if request:
        table, paths = with_given(table, {label: Path(path) for label, path in request["given"].items()})
        results = measure(table, scale, request["seeds"], rest, paths, train=False)
    elif table.kind == "parameters":
        results = measure(table, scale, [0], [])
    else:
        results = {row.label: Measured() for row in table.rows}
    rows = sum(bool(result.summaries or result.counts) for result in results.values())
    if request and not rows and (folder / "table.csv").exists():
        raise UserError(f"no row is measured below {output_folder(overrides).absolute()}; the table stays as it is")
    fills = measure_fills(table, scale, rest, results, evaluate=False)
    write_table(folder, make_report(table, results, scale, rest, fills))
    return f"{rows} of {len(results)} rows measured"


def output_folder(overrides: Sequence[str]) -> Path:
    """Return the folder of all runs."""
    return Path(next((o.partition("=")[2] for o in reversed(overrides) if o.startswith("output=")), "runs"))


def split_seeds(overrides: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return the seeds and the other overrides.

    Raises:
        UserError: if the seeds are not whole numbers.
    """
    seeds, rest = [0], []
    for override in overrides:
        key, _, value = override.partition("=")
        if key != "seed":
            rest.append(override)
            continue
        if not re.fullmatch(r"\d+(,\d+)*", value):
            raise UserError(f"seed={value} must be whole numbers separated by commas, such as seed=0,1,2")
        seeds = list(dict.fromkeys(int(part) for part in value.split(",")))
    return seeds, rest


def _folder_name(id: str, scale: str, overrides: Sequence[str]) -> str:
    from inpaintlab.config.plain import digest

    extra = [o for o in overrides if not o.startswith("output=")]
    name = "-".join([id, scale, *(re.sub(r"[^\w.=]+", "_", o) for o in extra)])
    return name if len(name) <= 120 else f"{name[:110]}-{digest(extra)}"
