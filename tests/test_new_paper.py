"""A new paper changes no other file: a toy is added to a copy of the repository, where all commands and tests take it.

`toy_paper/` holds the toy's files as they would lie in the repository.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import trees
from test_repository import ROOT, tracked

TOY = Path(__file__).parent / "toy_paper"
# Two batches of two pictures of 32 x 32; the demo scale trains on the embedded photographs.
SMALL = ("data.geometry.size=32", "data.batch_size=2", "batches=2", "trainer.sample_every=0", "trainer.precision=32")
# Tests over all systems, which find the toy.
SUITE = ("networks", "configs", "papers", "tables", "published", "health", "repository", "system_names")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with the toy in it."""
    root = tmp_path_factory.mktemp("copy") / "repository"
    for path in tracked():
        if not path.is_relative_to(ROOT / "tests" / "reference"):
            copy = root / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    new = [path.relative_to(TOY) for path in TOY.rglob("*") if path.suffix in (".py", ".yaml")]
    assert not [path for path in new if (root / path).exists()]
    shutil.copytree(TOY, root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["git", "init", "--quiet", root], check=True)  # some tests ask git for the files
    return root


def run(root: Path, command: str, *more: object) -> str:
    """Run a module in the copy, with the copy's sources, and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", *command.split(), *map(str, more)],
        cwd=root,
        env=environment | {"PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def listed(root: Path) -> str:
    """What `table --list` prints about the toy and the tables after it."""
    text = run(root, "inpaintlab table --list")
    return text[text.index("toy.table1") :]


@pytest.mark.slow
def test_every_command_takes_a_new_paper(repository: Path, tmp_path: Path) -> None:
    run(repository, "inpaintlab train experiment=toy_celeba scale=demo", *SMALL)
    (checkpoint,) = (repository / "runs" / "toy_celeba").glob("*/seed0/checkpoints/last.ckpt")

    image, mask = trees.picture(tmp_path / "image.png", (40, 40)), trees.mask(tmp_path / "mask.png", 0.2, size=40)
    files = ("--image", image, "--mask", mask, "--out", tmp_path / "filled.png")
    run(repository, "inpaintlab inpaint --checkpoint", checkpoint, *files)
    assert (tmp_path / "filled.png").exists()

    assert "not measured" in listed(repository)
    printed = run(repository, "inpaintlab table toy.table1", *SMALL)
    (row,) = [line for line in printed.splitlines() if line.startswith("| dilated")]
    assert "21.50" in row
    assert "demo-measured: 2 of 2 rows" in listed(repository)


@pytest.mark.slow
def test_the_tests_of_all_systems_find_a_new_paper(repository: Path) -> None:
    files = [f"tests/test_{name}.py" for name in SUITE]
    chosen = "toy or test_repository or test_system_names"
    printed = run(repository, "pytest -vv -p no:cacheprovider", *files, "-k", chosen)
    passed = [line for line in printed.splitlines() if " PASSED" in line]
    for file in files:
        assert any(line.startswith(file) for line in passed), f"{file} has no test of the toy"
