"""The pages: links lead somewhere, commands are accepted, examples run, and the README fits one page."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from omegaconf import DictConfig
from PIL import Image

from inpaintlab import cli
from inpaintlab.commands import data, import_weights, inpaint, table
from inpaintlab.config.command_line import check_command_line
from inpaintlab.tables import spec
from inpaintlab.tables.narrow import narrow
from inpaintlab.training.run import run_training

Compose = Callable[..., DictConfig]
ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("experiments/**/*.md")])
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    """The text without blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors of the headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.is_file(), f"{link} is not a file"
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(target), f"{link}: {name(target)} has the anchors {sorted(anchors(target))}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_named_in_code_exist(page: Path) -> None:
    if page.name == "CHANGELOG.md" or page.parent.name == "results":
        return
    for file in re.findall(r"`((?:[a-z_0-9]+/)+[\w.]+\.(?:py|yaml|md))`", page.read_text()):
        if not re.search(r"[/_]x[._]", file):  # the system that "Adding a paper" makes up
            assert any((folder / file).exists() for folder in (ROOT, ROOT / "src" / "inpaintlab")), file


def test_every_page_is_reached_from_the_readme() -> None:
    seen, todo = set[Path](), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page not in seen:
            seen.add(page)
            links = re.findall(r"\]\(([^)#\s]+\.md)", prose(page))
            todo += [(page.parent / link).resolve() for link in links if not link.startswith("http")]
    assert {page for page in PAGES if page.parent.name != "results"} <= seen


def commands(page: Path) -> list[str]:
    """The lines of shell blocks and the quoted commands; continued lines are joined, placeholders "..." left out."""
    text = page.read_text()
    lines = (
        "\n".join(re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)).replace("\\\n", " ").splitlines()
    )
    lines += re.findall(r"`((?:inpaintlab|make) [^`]+)`", text)
    return [line for line in lines if re.match(r"(inpaintlab|make) ", line) and "..." not in line]


def accept_train(words: list[str]) -> None:
    if "-m" in words or "--help" in words:
        check_command_line(words, "train")
    else:  # what is needed is set, and every key and value is known
        check_command_line([word for word in words if "=" in word], "train")


def accept_table(words: list[str]) -> None:
    parsed = table.parser().parse_intermixed_args(words)
    if parsed.table not in (None, "ID", "x.table1"):
        assert parsed.table in spec.known()


ACCEPT: dict[str, Callable[[list[str]], object]] = {
    "train": accept_train,
    "evaluate": lambda words: check_command_line(words, "evaluate"),
    "inpaint": lambda words: inpaint.parser().parse_args(words),
    "import": lambda words: import_weights.parser().parse_intermixed_args(words),
    "table": accept_table,
    "data": data.parsed,
}


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name != "results"], ids=name)
def test_commands_are_accepted(page: Path) -> None:
    for line in commands(page):
        program, *words = shlex.split(line, comments=True)
        if program == "make":
            assert next(word for word in words if "=" not in word) in TARGETS, line
        if program == "make" or words[0] == "COMMAND" or words[-1] == "--help":
            continue
        assert words[0] in cli.COMMANDS, line
        if len(words) > 1 and not any(word.startswith(("experiment=x_", "FILE")) for word in words):
            try:
                ACCEPT.get(words[0], lambda _: None)(words[1:])
            except (ValueError, SystemExit) as error:
                pytest.fail(f"{line}: {error}")


def test_the_readme_fits_one_page_and_shows_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    assert re.search(r"^make reproduce-table\b", text, re.MULTILINE)
    assert re.search(r"^make test\b", text, re.MULTILINE)
    assert max(line.count("|") for line in prose(ROOT / "README.md").splitlines()) <= 6  # five columns


def test_the_table_of_the_readme_is_the_committed_one() -> None:
    file = ROOT / "experiments" / "msanet" / "results" / "table3-demo.csv"
    assert narrow(spec.read("msanet.table3"), file).strip() in (ROOT / "README.md").read_text()


def test_the_examples_in_python_run(compose: Compose, tmp_path: Path) -> None:
    blocks = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "docs" / "python-api.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert len(blocks) >= 6
    here = tmp_path / "here"
    here.mkdir()
    (run_training(compose("batches=1")) / "checkpoints" / "last.ckpt").rename(here / "last.ckpt")
    rng = np.random.default_rng(0)
    hole = np.zeros((48, 60), np.uint8)
    hole[10:30, 10:30] = 255
    for folder in ("pictures", "masks"):
        (here / folder).mkdir()
    for file in ("photo.png", "pictures/a.png", "pictures/b.png"):
        Image.fromarray(rng.integers(0, 256, (48, 60, 3), dtype=np.uint8)).save(here / file)
    for file in ("mask.png", "masks/a.png", "masks/b.png"):
        Image.fromarray(hole).save(here / file)
    Image.fromarray(255 - hole).save(here / "black_hole.png")
    result = subprocess.run([sys.executable, "-c", "\n".join(blocks)], cwd=here, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("msanet\n1\n")
    known = hole == 0
    filled, photo = (np.asarray(Image.open(here / file)) for file in ("filled.png", "photo.png"))
    assert np.array_equal(filled[known], photo[known])
    assert not np.array_equal(filled, photo)


@pytest.mark.slow
def test_the_site_is_built_without_warnings_and_needs_no_network(tmp_path: Path) -> None:
    pytest.importorskip("furo")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-c",
        str(ROOT / "docs"),
        str(ROOT),
        str(tmp_path),
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) >= len(PAGES)
    for page in pages:
        loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"([^\"]+)\"", page.read_text())
        assert not [address for address in loaded if re.match(r"(https?:)?//", address)], page
