"""Locate the configs and the table specs: beside `src` in a checkout, inside the package in a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def _find(name: str) -> Path:
    for parent in (_PACKAGE.parents[1], _PACKAGE):
        if (parent / name).is_dir() and (parent / name).parent.joinpath("pyproject.toml").exists():
            return parent / name
    return _PACKAGE / name


def conf() -> Path:
    """The Hydra config groups."""
    return _find("conf")


def experiments() -> Path:
    """The table specs and the pages about each system."""
    return _find("experiments")
