"""What a checkpoint holds, checked before anything is done with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from inpaintlab.checkpoints.stored_config import INTEGERS, require_plain, shown
from inpaintlab.errors import UserError

KEY = "inpaintlab"  # the entry of a checkpoint with {"format", "system", "config", "conditions"}
AVERAGE = "generator_average"  # the entry with the averaged weights, if the run kept them
GENERATOR = "generator."  # prefix of the generator's entries in the state dict
CONFIG = (KEY, "config")
GEOMETRY = (*CONFIG, "data", "geometry")
TEXTS: tuple[tuple[str, ...], ...] = (
    (KEY, "system"),
    (*CONFIG, "name"),
    (*CONFIG, "scale", "name"),
    (*CONFIG, "model", "generator", "_target_"),
    (*CONFIG, "data", "_target_"),
)
# Whole numbers and their largest values. Larger ones would only fill the memory of whoever evaluates the checkpoint.
NUMBERS: dict[tuple[str, ...], int] = {
    ("batches_done",): INTEGERS,
    (*CONFIG, "seed"): 2**32 - 1,
    (*CONFIG, "data", "pairs_seed"): INTEGERS,
    (*GEOMETRY, "size"): 8192,
}
MAPPINGS: tuple[tuple[str, ...], ...] = tuple(
    (*CONFIG, "data", part) for part in ("pictures", "train_holes", "test_holes")
)
OPTIONAL: dict[tuple[str, ...], int] = {(*GEOMETRY, "short_side"): 16_384, (*CONFIG, "data", "workers"): 256}  # or null
MODERATE = 10_000  # largest number in the configs of the generator and of holes, except for seeds


@dataclass(frozen=True)
class Content:
    """The entries of a checkpoint that inpainting and evaluation use.

    Args:
        system: the name of its model config.
        config: the resolved training config, plain data without references.
        batches: number of batches that it was trained for.
        weights: of the generator, under the generator's own names.
        average: its averaged weights, or None.
    """

    system: str
    config: dict[str, Any]
    batches: int
    weights: dict[str, Tensor]
    average: dict[str, Tensor] | None


def check(content: Mapping[str, Any], source: str) -> Content:
    """Return the checked entries of a checkpoint of the present format.

    Args:
        source: the file, for messages.

    Raises:
        UserError: naming the entries that are missing, or the first one that is wrong.
    """
    missing = [".".join(place) for place in (*NUMBERS, *TEXTS, *MAPPINGS) if at(content, place) is None]
    if missing:
        raise UserError(f"{source} is an incomplete checkpoint: missing {', '.join(missing)}")
    config = at(content, CONFIG)
    assert isinstance(config, dict)
    require_plain(config, f"{source}: {'.'.join(CONFIG)}")
    for place in TEXTS:
        value = at(content, place)
        if not isinstance(value, str) or not value or len(value) > 255 or not value.isprintable():
            raise _wrong(source, place, "text of at most 255 printable characters on one line", value)
    system = content[KEY]["system"]
    if not re.fullmatch(r"\w+", system):
        raise _wrong(source, (KEY, "system"), "the name of a system", system)
    for place, most in NUMBERS.items():
        _require_number(content, source, place, most)
    for place, most in OPTIONAL.items():
        if at(content, place) is not None:
            _require_number(content, source, place, most)
    for place in MAPPINGS:
        if not isinstance(at(content, place), dict):
            raise _wrong(source, place, "a mapping", at(content, place))
    for place in ((*CONFIG, "model", "generator"), *MAPPINGS[1:]):
        _require_moderate(at(content, place), f"{source}: {'.'.join(place)}")
    weights = _tensors(content["state_dict"], f"{source}: state_dict")
    average = _tensors(content[AVERAGE], f"{source}: {AVERAGE}") if AVERAGE in content else None
    own = {name.removeprefix(GENERATOR): value for name, value in weights.items() if name.startswith(GENERATOR)}
    return Content(system, config, content["batches_done"], own, average)


def at(content: object, place: Sequence[str]) -> object:
    """Return the value at a path of keys in nested mappings, or None."""
    for key in place:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def _wrong(source: str, place: Sequence[str], expected: str, value: object) -> UserError:
    return UserError(f"{source}: {'.'.join(place)} must be {expected}, got {shown(value)}")


def _require_number(content: object, source: str, place: Sequence[str], most: int) -> None:
    value = at(content, place)
    if type(value) is not int or not 0 <= value <= most:
        raise _wrong(source, place, f"a whole number from 0 to {most}", value)


def _require_moderate(config: object, place: str) -> None:
    """Raise UserError for a number in a plain config that could only serve to fill the memory."""
    if isinstance(config, Mapping):
        for key, value in config.items():
            if not key.endswith("seed"):
                _require_moderate(value, f"{place}.{key}")
    elif isinstance(config, (list, tuple)):
        for number, value in enumerate(config):
            _require_moderate(value, f"{place}[{number}]")
    elif isinstance(config, (int, float)) and abs(config) > MODERATE:
        raise UserError(f"{place} must be at most {MODERATE}, got {config}")


def _tensors(weights: object, place: str) -> dict[str, Tensor]:
    """Return a state dict of plain, dense, real tensors."""
    if not isinstance(weights, Mapping):
        raise UserError(f"{place} must map names to tensors, got {shown(weights)}")
    for name, value in weights.items():
        if not isinstance(name, str):
            raise UserError(f"{place} has the key {shown(name)}; expected the name of a weight")
        if type(value) not in (Tensor, nn.Parameter):
            raise UserError(f"{place}.{name} must be a tensor, got {shown(value)}")
        if value.layout is not torch.strided or value.is_quantized or value.is_complex() or value.device.type != "cpu":
            kind = f"{value.dtype}, {value.layout}, on {value.device}"
            raise UserError(f"{place}.{name} must be a dense tensor of real numbers, got one of {kind}")
    return dict(weights)
