"""Manifests of evaluation pairs: written once, checked wherever the pictures and masks are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.utils.data import Dataset

from inpaintlab.config.compose import compose_config
from inpaintlab.data.files.lists import printable
from inpaintlab.data.pairs import Pair, PairSet, digest, read_manifest, write_manifest
from inpaintlab.data.workers import loader
from inpaintlab.errors import UserError
from inpaintlab.utils.atomic_write import write_text
from inpaintlab.utils.progress import Bar

if TYPE_CHECKING:
    from inpaintlab.data.datamodule import InpaintingData


class _Described(Dataset[Pair]):
    def __init__(self, pairs: PairSet) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, number: int) -> Pair:
        return self.pairs.describe(number)


def write(path: Path, overrides: Sequence[str]) -> str:
    """Write the manifest of the test pairs that these overrides describe; returns a summary.

    Raises:
        UserError: if a manifest of other pairs is there already.
    """
    data, pairs = _described(overrides, path.name)
    found = digest(pairs)
    if path.exists() and digest(read_manifest(path)) != found:
        raise UserError(f"{path} holds other pairs; remove it, or choose another name")
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
    """What differs between a manifest and the pairs made here.

    Args:
        overrides: after those that the manifest was written with; data.root= say, on another machine.
    """
    expected = read_manifest(path)
    if not _beside(path).exists():
        raise FileNotFoundError(f"{_beside(path)} is missing; it says how the pairs of {path.name} are made")
    settings = _settings(_beside(path))
    differences = []
    if digest(expected) != settings["digest"]:
        differences.append(f"{path.name} was changed: its digest is {digest(expected)}, not {settings['digest']}")
    _, pairs = _described(_merged(settings["overrides"], overrides), path.name)
    if len(pairs) != len(expected):
        differences.append(f"{len(pairs)} pairs, not {len(expected)}")
    keys = ["picture", "bin", "picture_sha256", "hole_sha256"]
    if any(pair.hole for pair in expected):  # which the first manifests did not say
        keys.append("hole")
    for then, now in zip(expected, pairs, strict=False):
        for key in keys:
            if getattr(then, key) != getattr(now, key):
                line = f"{then.picture}, {then.bin}: {key} is {getattr(now, key)}, not {getattr(then, key)}"
                differences.append(printable(line))
                break
    return differences


def _settings(path: Path) -> dict[str, Any]:
    """What stands beside a manifest, as far as `check` needs it."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is no JSON file ({error}); write the manifest again") from None
    known = settings if isinstance(settings, dict) else {}
    overrides, found = known.get("overrides"), known.get("digest")
    if not isinstance(found, str) or not isinstance(overrides, list) or not all(isinstance(o, str) for o in overrides):
        raise UserError(f"{path} does not say how its pairs are made (overrides, digest); write the manifest again")
    return known


def _merged(first: Sequence[str], later: Sequence[str]) -> list[str]:
    """Overrides of which a later one replaces an earlier one of the same key."""
    return list({line.partition("=")[0]: line for line in (*first, *later)}.values())


def _described(overrides: Sequence[str], label: str) -> tuple[InpaintingData, list[Pair]]:
    from hydra.utils import instantiate

    config = compose_config(["batches=1", *overrides])
    data: Any = instantiate(config.data, _convert_="all")
    pairs = data.pairs("test")
    described: list[Pair] = []
    with Bar(f"pairs of {label}", len(pairs)) as bar:
        for some in loader(_Described(pairs), data.workers, batch_size=8, collate_fn=list):
            described += some
            bar.update(len(described))
    return data, described


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".json")
