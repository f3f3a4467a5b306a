"""`inpaintlab table`: measure a table, print it, and write it in all its forms; list and render all tables."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path

from inpaintlab.errors import UserError
from inpaintlab.programs import run_program


def parser() -> ArgumentParser:
    """The command line; built without importing anything heavy."""
    p = ArgumentParser("inpaintlab table", description="Reproduce a table: train what is missing, evaluate, render.")
    p.add_argument("table", nargs="?", help="msanet.table3, say")
    p.add_argument("overrides", nargs="*", help="config overrides for all rows; seed=0,1,2 trains each row three times")
    p.add_argument("--scale", default="demo", help="demo (minutes on a laptop) or paper (the real data and lengths)")
    p.add_argument("--jobs", type=int, help="train the rows in processes of their own, so many at once")
    p.add_argument("--list", action="store_true", help="list the tables: what is measured, what is missing")
    p.add_argument("--render", action="store_true", help="render all tables from what is measured, without training")
    p.add_argument(
        "--pictures", type=_numbers, default=[], metavar="N,N", help="the pairs on the sheet of pictures, by number"
    )
    p.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        metavar="ROW=FILE",
        help="evaluate FILE in that row, do not train it",
    )
    p.add_argument("--publish", action="store_true", help="also update the committed pages that show this table")
    return p


OF_TABLE = {  # what its page says of a table, and an override would make untrue
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
        given: see `measure.with_given`.
        jobs: rows trained at once, each in a process of its own; so they are also if the overrides choose a launcher.
        pictures: see `figures.sheet`.

    Returns:
        The number of rows that could not be measured.
    """
    from inpaintlab import config as configs
    from inpaintlab.atomic import require_writable
    from inpaintlab.tables import outputs, spec
    from inpaintlab.tables.measure import measure, with_given
    from inpaintlab.tables.publish import update_pages

    table, paths = with_given(spec.load(id), given or {})
    seeds, rest = _split_seeds(overrides)
    how = [o for o in rest if o.startswith("hydra")] + ([f"hydra.launcher.jobs={jobs}"] if jobs else [])
    rest = [o for o in rest if not o.startswith("hydra")]
    for key, instead in OF_TABLE.items():
        if any(o.partition("=")[0] == key for o in rest):
            raise UserError(f"{key}= is not for a table: {instead}")
    launcher = configs.launcher([*how, *rest, f"experiment={table.experiments[0]}", f"scale={scale}"]) if how else None
    folder = require_writable(_output(rest) / "tables" / _folder_name(id, scale, rest))
    results = measure(table, scale, seeds, rest, paths, launcher)
    text = outputs.write(folder, table, results, scale, rest, pictures)
    outputs.remember(folder, id, scale, seeds, rest, given or {})
    print(f"\n{text}\nwritten to {folder}/table.html, .md, .csv and .tex")
    if publish:
        for page in update_pages(id, scale, folder):
            print(f"updated {page}")
    return sum(bool(result.missing) for result in results.values())


def render_all(overrides: Sequence[str] = ()) -> None:
    """Render every table again from what has been measured below `<output>`; nothing is trained or evaluated."""
    from inpaintlab.atomic import require_writable
    from inpaintlab.programs import explain
    from inpaintlab.tables import outputs, spec
    from inpaintlab.tables.measure import measure, with_given
    from inpaintlab.tables.measured import Measured

    output = _output(overrides)
    where = [o for o in overrides if o.startswith("output=")]
    require_writable(output / "tables")
    entries = []
    for id in spec.known():
        made = list(outputs.requests(output, id))
        for folder, request in made or [(output / "tables" / _folder_name(id, "demo", []), {})]:
            table, scale = spec.load(id), str(request.get("scale", "demo"))
            rest = [o for o in request.get("overrides", []) if not o.startswith("output=")] + where  # it may have moved
            try:
                if request:
                    given = {label: Path(path) for label, path in request["given"].items()}
                    table, paths = with_given(table, given)
                    results = measure(table, scale, request["seeds"], rest, paths, train=False)
                elif table.kind == "parameters":
                    results = measure(table, scale, [0], [])
                else:
                    results = {row.label: Measured() for row in table.rows}
                found = any(result.summaries or result.counts for result in results.values())
                if request and not found and (folder / "table.csv").exists():
                    raise UserError(f"nothing of it is measured below {output.absolute()}; the table stays as it is")
                outputs.write(folder, table, results, scale, rest)
            except Exception as error:
                if explain(error) is None:
                    raise
                print(f"{id}: not rendered: {explain(error)}", file=sys.stderr)
                continue
            rows = sum(bool(result.summaries or result.counts) for result in results.values())
            entries.append((folder, table, f"{rows} of {len(results)} rows measured"))
            print(f"{entries[-1][2]:24} {folder}/table.html")
    outputs.index(entries, output / "tables" / "index.html")
    print(f"{'all of them':24} {output}/tables/index.html")


def _output(overrides: Sequence[str]) -> Path:
    return Path(next((o.partition("=")[2] for o in reversed(overrides) if o.startswith("output=")), "runs"))


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _split_seeds(overrides: Sequence[str]) -> tuple[list[int], list[str]]:
    seeds, rest = [0], []
    for override in overrides:
        key, _, value = override.partition("=")
        if key != "seed":
            rest.append(override)
            continue
        if not re.fullmatch(r"\d+(,\d+)*", value):
            raise UserError(f"seed={value} must be whole numbers separated by commas, seed=0,1,2 say")
        seeds = list(dict.fromkeys(int(part) for part in value.split(",")))
    return seeds, rest


def _given(arguments: Sequence[str]) -> dict[str, Path]:
    given = {}
    for argument in arguments:
        label, _, file = argument.rpartition("=")
        if not label or not file:
            raise UserError(f"--checkpoint {argument} must be ROW=FILE")
        given[label] = Path(file)
    return given


def _folder_name(id: str, scale: str, overrides: Sequence[str]) -> str:
    from inpaintlab.config import digest

    extra = [o for o in overrides if not o.startswith("output=")]
    name = "-".join([id, scale, *(re.sub(r"[^\w.=]+", "_", o) for o in extra)])
    return name if len(name) <= 120 else f"{name[:110]}-{digest(extra)}"


def _list(overrides: Sequence[str]) -> None:
    from inpaintlab.tables import spec, state

    print(state.overview([spec.read(id) for id in spec.known()], _output(overrides)))


def main(arguments: Sequence[str] | None = None) -> None:
    """The program behind `inpaintlab table`."""
    # Intermixed: overrides may stand before, between and behind the options, as `make` puts them.
    parsed = parser().parse_intermixed_args(arguments)

    def program() -> None:
        words = [word for word in (parsed.table, *parsed.overrides) if word]
        if parsed.render:
            render_all(words)
        elif parsed.list or not words:
            _list(words)
        elif reproduce(
            parsed.table,
            parsed.scale,
            parsed.overrides,
            publish=parsed.publish,
            given=_given(parsed.checkpoint),
            jobs=parsed.jobs,
            pictures=parsed.pictures,
        ):
            sys.exit(1)

    run_program(program)


if __name__ == "__main__":
    main()
