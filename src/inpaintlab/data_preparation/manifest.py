"""Write the manifest of an evaluation's pairs, and check it on any machine that has the pictures and masks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from torch.utils.data import Dataset

from inpaintlab.config.compose import compose_config
from inpaintlab.data.pairs import PIXELS, Pair, PairSet, differences, digest, read_manifest, write_manifest
from inpaintlab.data.workers import loader
from inpaintlab.errors import UserError
from inpaintlab.utils.atomic_write import write_text
from inpaintlab.utils.printable import printable
from inpaintlab.utils.progress import Bar

if TYPE_CHECKING:
    from inpaintlab.data.datamodule import InpaintingData


class Settings(TypedDict):
    """The part of the file beside a manifest that `check` needs."""

    overrides: list[str]
    digest: str


class _Described(Dataset[Pair]):
    """The manifest lines of pairs, for worker processes."""

    def __init__(self, pairs: PairSet) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, number: int) -> Pair:
        return self.pairs.describe(number)


def write(path: Path, overrides: Sequence[str]) -> str:
    """Write the manifest of the test pairs that these overrides describe, and return a summary.

    Raises:
        UserError: if `path` is a manifest of other pairs.
    """
    data, pairs = _described(overrides, path.name)
    found = digest(pairs)
    if path.exists() and digest(read_manifest(path)) != found:
        raise UserError(f"{path} holds other pairs; remove it or choose another name")
    settings = {
        "overrides": list(overrides),
        "pairing": data.pairing,
        "pairs_seed": data.pairs_seed,
        "size": data.geometry.size,
        "geometry": data.geometry.kind,
        "pictures": type(data.pictures).__name__,
        "pairs": len(pairs),
        "digest": found,
    }
    write_manifest(path, pairs)
    write_text(_beside(path), json.dumps(settings, indent=1) + "\n")
    return f"{path}: {len(pairs)} pairs, digest {found}"


def check(path: Path, overrides: Sequence[str] = ()) -> list[str]:
    """Return the differences between a manifest and the pairs made here, one line each.

    Args:
        overrides: added to those that the manifest was written with, for example data.root= on another machine.

    Raises:
        FileNotFoundError: if the manifest or the file beside it is missing.
        UserError: if one of them is damaged.
    """
    expected = read_manifest(path)
    if not _beside(path).exists():
        raise FileNotFoundError(f"{_beside(path)} is missing; it describes how the pairs of {path.name} are made")
    settings = _settings(_beside(path))
    lines = []
    if digest(expected) != settings["digest"]:
        lines.append(f"{path.name} was changed: its digest is {digest(expected)}, not {settings['digest']}")
    _, pairs = _described(_merged(settings["overrides"], overrides), path.name)
    if len(pairs) != len(expected):
        lines.append(f"{len(pairs)} pairs, not {len(expected)}")
    with_files = any(pair.hole for pair in expected)  # a manifest may lack the column of mask files
    keys = (*PIXELS, "hole") if with_files else PIXELS
    for pair, found in zip(expected, pairs, strict=False):
        different = differences(pair, found, keys)
        if different:
            key, (then, now) = next(iter(different.items()))
            lines.append(printable(f"{pair.picture}, {pair.bin}: {key} is {now}, not {then}"))
    return lines


def _settings(path: Path) -> Settings:
    """Return the content of the file beside a manifest."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not a JSON file ({error}); write the manifest again") from None
    known = settings if isinstance(settings, dict) else {}
    overrides, found = known.get("overrides"), known.get("digest")
    if not isinstance(found, str) or not isinstance(overrides, list) or not all(isinstance(o, str) for o in overrides):
        raise UserError(f"{path} lacks `overrides` or `digest`, so its pairs are unknown; write the manifest again")
    return Settings(overrides=overrides, digest=found)


def _merged(first: Sequence[str], later: Sequence[str]) -> list[str]:
    """Return all overrides; a later one replaces an earlier one of the same key."""
    return list({line.partition("=")[0]: line for line in (*first, *later)}.values())


def _described(overrides: Sequence[str], label: str) -> tuple[InpaintingData, list[Pair]]:
    """Return the data that the overrides describe, and the manifest lines of its test pairs."""
    from hydra.utils import instantiate

    config = compose_config(["batches=1", *overrides])
    data: InpaintingData = instantiate(config.data, _convert_="all")
    pairs = data.pairs("test")
    described: list[Pair] = []
    with Bar(f"pairs of {label}", len(pairs)) as bar:
        for some in loader(_Described(pairs), data.workers, batch_size=8, collate_fn=list):
            described += some
            bar.update(len(described))
    return data, described


def _beside(path: Path) -> Path:
    """Return the file that describes how the pairs of a manifest are made."""
    return path.with_name(path.name + ".json")
