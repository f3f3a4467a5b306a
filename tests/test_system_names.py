"""A new paper changes no other file: no shared file names a system, and no test lists systems by hand."""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
from systems import SYSTEMS
from test_repository import ROOT, tracked

NAME = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(SYSTEMS)})(?![A-Za-z0-9])")
TEXT = (".py", ".yaml", ".toml", ".html", "")
# Files that may name systems which they do not belong to, and why. Pages (*.md) and results may name any.
ALLOWED = (
    ("Makefile", {"msanet"}, "the default table and an example"),
    ("Makefile", {"lbam"}, "`make bench` runs a system's own benchmark"),
    ("conf/train.yaml", {"msanet"}, "the default model"),
    ("src/inpaintlab/commands/train.py", {"msanet"}, "examples in the help text"),
    ("conf/data/places*.yaml", {"lbam"}, "a list of categories, named after the paper that chose them"),
    ("src/inpaintlab/data/datasets/places2.py", {"lbam"}, "the same list"),
    ("src/inpaintlab/metrics/*.py", {"lbam"}, "a metric protocol, named after the released script"),
    ("experiments/protocols/table.yaml", {"msanet", "lbam"}, "protocols are compared on one experiment"),
    ("src/inpaintlab/networks/*.py", {"csa"}, "an attention layer that several networks take"),
    ("conf/*/*.yaml", {"csa"}, "the same layer"),
    ("*/charef.*", {"gconv"}, "this paper describes a change of that network"),
    ("benchmarks/coherent_attention.py", {"csa"}, "the layer is timed inside its network"),
    ("experiments/*/*.yaml", set(SYSTEMS), "tables compare systems"),
)


def shared_text() -> list[Path]:
    """Source, configs, table specs, benchmarks and build files."""
    return [
        path for path in tracked() if path.suffix in TEXT and path.relative_to(ROOT).parts[0] not in ("tests", "docs")
    ]


def foreign(path: Path) -> set[str]:
    """The systems that a file names, although it does not belong to them: its path does not name them."""
    return set(NAME.findall(path.read_text())) - set(NAME.findall(path.relative_to(ROOT).as_posix()))


def test_no_file_names_a_system_that_it_does_not_belong_to() -> None:
    found = {}
    for path in shared_text():
        name = path.relative_to(ROOT).as_posix()
        allowed = set().union(*(names for pattern, names, _ in ALLOWED if fnmatch(name, pattern)))
        if foreign(path) - allowed:
            found[name] = foreign(path) - allowed
    assert found == {}


@pytest.mark.parametrize(("pattern", "names", "reason"), ALLOWED)
def test_every_exception_is_needed(pattern: str, names: set[str], reason: str) -> None:
    files = [path for path in shared_text() if fnmatch(path.relative_to(ROOT).as_posix(), pattern)]
    assert set().union(*map(foreign, files)) & names, f"no file needs {reason!r}"


def test_a_shared_file_that_names_a_system_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("test_system_names.ROOT", tmp_path)
    for name, found in (("image.py", {"lbam"}), ("lbam.py", set()), ("lbam_blocks.py", set()), ("msanet.py", {"lbam"})):
        (tmp_path / name).write_text("from inpaintlab.networks.lbam import Generator  # LBAM of Xie et al.\n")
        assert foreign(tmp_path / name) == found


# ---------------------------------------------------------------------- tests
OF_PAPERS = ("test_papers_", "test_recorded_", "test_coarse_to_fine", "test_system_names")  # the third: a shared base


def lists_of_systems(source: str) -> list[str]:
    """Collections whose elements, keys or first parts of elements name two systems; texts that name three."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            named, least = {name for element in node.elts for name in named_by(element)}, 2
        elif isinstance(node, ast.Dict):
            named, least = {name for key in node.keys if key for name in named_by(key)}, 2
        else:
            named, least = set(NAME.findall(node.value if is_text(node) else "")), 3
        if len(named) >= least:
            found.append(ast.unparse(node))
    return found


def named_by(node: ast.expr) -> set[str]:
    if isinstance(node, ast.Tuple) and node.elts:
        node = node.elts[0]
    plain = isinstance(node, (ast.Name, ast.Attribute, ast.Constant)) and " " not in (text := ast.unparse(node))
    return set(NAME.findall(text)) if plain else set()


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


@pytest.mark.parametrize("path", sorted((ROOT / "tests").glob("*.py")), ids=lambda path: path.name)
def test_tests_of_all_systems_find_them(path: Path) -> None:
    """An example may be named; a list of systems would leave a new one out."""
    if NAME.search(path.stem) or path.name.startswith(OF_PAPERS):
        pytest.skip("belongs to papers")
    assert lists_of_systems(path.read_text()) == []


@pytest.mark.parametrize(
    ("source", "is_list"),
    [
        ("for system in ['lbam_paris', 'msanet']: pass", True),
        ("build = {'lbam': 1, 'csa': 2}", True),
        ("builds = (lbam.Generator, csa.Generator)", True),
        ("cases = [('lbam.table1', 'psnr'), ('csa.table1', 'psnr')]", True),
        ("message = 'system must be one of csa, gconv, lbam'", True),
        ("message = 'is a checkpoint of lbam, not of msanet'", False),
        ("cases = [(['lbam_paris', 'lbam_places'], 'of msanet')]", False),
    ],
)
def test_lists_of_systems_are_recognised(source: str, is_list: bool) -> None:
    assert bool(lists_of_systems(source)) == is_list
