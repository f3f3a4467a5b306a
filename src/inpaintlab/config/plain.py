"""Configs as plain Python containers."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue

from inpaintlab.errors import UserError


def digest(config: Any) -> str:
    """Eight hexadecimal characters that depend on the content of a plain container."""
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()[:8]


def to_plain(config: DictConfig) -> dict[str, Any]:
    """The config as plain Python data with all references resolved.

    Raises:
        UserError: naming a value that must be given.
    """
    try:
        container = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise UserError(f"{error.full_key} is not set: give it as {error.full_key}=...") from None
    except InterpolationToMissingValueError as error:  # its full_key is the reference, not the missing value
        found = re.search(r"Missing mandatory value: (\S+)", str(error))
        key = found[1] if found else error.full_key
        raise UserError(f"{key} is not set: give it as {key}=...") from None
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def without_hydra(config: DictConfig) -> DictConfig:
    """A modifiable copy of the config without Hydra's own keys."""
    copy = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    OmegaConf.set_readonly(copy, False)
    OmegaConf.set_struct(copy, False)
    return copy


def get_key(container: dict[str, Any], key: str) -> Any:
    """The value at a dotted key."""
    value: Any = container
    for part in key.split("."):
        value = value[part]
    return value


def drop_key(container: dict[str, Any], key: str) -> None:
    """Remove a dotted key if it is there."""
    *parents, last = key.split(".")
    for part in parents:
        container = container.get(part) or {}
    container.pop(last, None)
