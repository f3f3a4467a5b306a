"""Rules of the code base that no single file can keep: layering, names, and what must never be committed."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest
import yaml

import inpaintlab
from inpaintlab.utils import paths

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "inpaintlab"
# From the ground up; a package imports only from its own floor or from below.
FLOORS = (
    {"errors", "batch"},
    {"image", "utils"},
    {"layers"},
    {"networks"},
    {"losses", "metrics", "data"},
    {"checkpoints"},
    {"config"},
    {"visualization", "tracking"},
    {"data_preparation", "evaluation"},
    {"training"},
    {"papers", "sweep"},
    {"tables"},
    {"commands"},
    {"cli", "__main__"},
)
LEVELS = {name: level for level, names in enumerate(FLOORS) for name in names}
LOOSE = {"__init__.py", "__main__.py", "batch.py", "cli.py", "errors.py", "image.py"}
APART = ({"data", "metrics"}, {"losses", "data"}, {"papers", "sweep"}, {"data_preparation", "evaluation"})
LIGHTNING_FROM, HYDRA_FROM = LEVELS["data"], LEVELS["checkpoints"]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= (
                {f"{node.module}.{name.name}" for name in node.names} if node.module == "inpaintlab" else {node.module}
            )
    return found


def unit(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down(path: Path) -> None:
    own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    level = LEVELS[own]
    for module in imports(path):
        if module.startswith("inpaintlab.") and not module.startswith("inpaintlab.__"):
            other = unit(module)
            assert other == own or LEVELS[other] <= level, f"{own} imports {other}"
            assert not any(own in group and other in group and own != other for group in APART), (
                f"{own} imports {other}"
            )
        if module.split(".")[0] in ("lightning", "pytorch_lightning"):
            assert level >= LIGHTNING_FROM, module
        if module.split(".")[0] in ("hydra", "omegaconf"):
            assert level >= HYDRA_FROM, module
        if module.split(".")[0] == "albumentations":
            assert path.name == "geometry.py"
        if module.split(".")[0] == "wandb":
            assert path.name == "loggers.py"


def test_only_the_entry_points_and_the_shared_types_are_loose() -> None:
    assert {path.name for path in SOURCE.glob("*.py")} == LOOSE


def test_every_package_has_a_floor() -> None:
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert packages | {name.removesuffix(".py") for name in LOOSE} - {"__init__"} == set(LEVELS)


def test_init_files_do_nothing() -> None:
    for path in SOURCE.glob("*/**/__init__.py"):
        body = ast.parse(path.read_text()).body
        assert all(isinstance(node, (ast.Expr, ast.ImportFrom, ast.Assign)) for node in body), path


def test_the_package_itself_imports_its_public_functions_on_first_use() -> None:
    at_once, for_types, functions = [], [], []
    for node in ast.parse((SOURCE / "__init__.py").read_text()).body:
        if isinstance(node, ast.If):
            assert ast.unparse(node.test) == "TYPE_CHECKING"
            for_types += node.body
        elif isinstance(node, ast.FunctionDef):
            functions.append(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            at_once.append(ast.unparse(node))
        else:
            assert isinstance(node, (ast.Expr, ast.Assign))
    assert at_once == [
        "from __future__ import annotations",
        "import importlib",
        "from typing import TYPE_CHECKING",
    ]
    assert functions == ["__getattr__", "__dir__"]
    typed = {
        name.asname or name.name: (node.module, name.name)
        for node in for_types
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert typed == inpaintlab._PUBLIC
    assert set(inpaintlab.__all__) == {*typed, "__version__"}


def tracked() -> list[Path]:
    listing = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True
    )
    return [ROOT / line for line in listing.stdout.splitlines() if (ROOT / line).is_file()]


def test_no_machine_path_or_package_address_is_committed() -> None:
    home = str(Path.home()) + "/"
    pattern = re.compile(
        r"https?://[^\s\"')]*(pypi|pythonhosted|simple/)|--(extra-)?index.url|"
        + re.escape(home)
        + "|"
        + re.escape(f"{ROOT}/")
    )
    for path in tracked():
        if path.suffix in (".png", ".npz", ".jpg") or path == Path(__file__).resolve():
            continue
        assert not pattern.search(path.read_text(errors="ignore")), path


def test_lock_pins_all_direct_dependencies() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = [
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
        *project["dependency-groups"]["docs"],
    ]
    wanted = {re.split(r"[<>=!\[ ]", name)[0].lower() for name in named}
    pinned = {
        line.split("==")[0].lower() for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line
    }
    assert wanted <= pinned


def test_every_numeric_setting_of_an_experiment_says_where_it_comes_from() -> None:
    """In the experiments that state a paper's run, budgets and rates carry their source as a comment."""
    for path in (paths.conf() / "experiment").glob("*.yaml"):
        lines = path.read_text().splitlines()
        assert lines[0] == "# @package _global_"
        assert lines[1].startswith("# "), path
        assert isinstance(yaml.safe_load(path.read_text()), dict)
        for line in lines:
            if re.match(r"\s*(batches|epochs|batch_size): \d", line):
                assert "#" in line, f"{path.name}: {line}"
