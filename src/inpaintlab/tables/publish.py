"""Copy rendered tables into the committed pages, so that nobody types a number by hand."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from inpaintlab.errors import UserError
from inpaintlab.tables import spec
from inpaintlab.tables.narrow import narrow
from inpaintlab.utils import paths
from inpaintlab.utils.atomic_write import replacing, write_text


def update_pages(id: str, scale: str, folder: Path) -> list[Path]:
    """Copy the table's files to `experiments/<system>/results/` and fill its blocks in the pages.

    A block stands between `<!-- table <id> <scale> -->` and `<!-- end -->`, or for the form in five columns between
    `<!-- table <id> <scale> narrow -->` and `<!-- end -->`.

    Returns:
        The files that were written.

    Raises:
        UserError: outside a checkout.
    """
    root = paths.experiments().parent
    if not (root / "pyproject.toml").exists():
        raise UserError(
            "--publish updates the pages of a checkout, but this is an installed package; run it from a checkout"
        )
    system, _, name = id.partition(".")
    target = root / "experiments" / system / "results"
    changed = []
    for file in ("table.md", "table.csv", "pictures.png"):
        if (folder / file).exists():
            copy = target / f"{name}-{scale}{Path(file).suffix}"
            with replacing(copy) as temporary:
                shutil.copyfile(folder / file, temporary)
            changed.append(copy)
    changed += fill_blocks(f"table {id} {scale}", (folder / "table.md").read_text())
    if (folder / "table.csv").exists():
        changed += fill_blocks(f"table {id} {scale} narrow", narrow(spec.read(id), folder / "table.csv"))
    return changed


def fill_blocks(name: str, content: str) -> list[Path]:
    """Replace what stands between `<!-- <name> -->` and `<!-- end -->` in the pages.

    Returns:
        The pages that changed.
    """
    root = paths.experiments().parent
    changed = []
    begin, end = f"<!-- {name} -->", "<!-- end -->"
    pattern = rf"{re.escape(begin)}\n.*?{re.escape(end)}"
    block = f"{begin}\n{content.strip()}\n{end}"
    for page in (
        root / "README.md",
        *sorted((root / "docs").glob("*.md")),
        *sorted(root.glob("experiments/**/README.md")),
    ):
        before = page.read_text()
        after = re.sub(pattern, lambda _: block, before, flags=re.DOTALL)
        if after != before:
            write_text(page, after)
            changed.append(page)
    return changed


def report(name: str, content: str, *, publish: bool) -> None:
    """Print the result of a benchmark; with `publish`, also put it into the block `name` of the pages."""
    print(content)
    for page in fill_blocks(name, content) if publish else ():
        print(f"updated {page}")
