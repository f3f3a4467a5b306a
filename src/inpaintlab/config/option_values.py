"""Check the values of a config's options: by a table of rules, and otherwise by the type of their default.

Checked here are values that would end in a traceback or be accepted silently. Choices, such as the variants of a
network, are checked by the code that knows them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from inpaintlab.errors import UserError

INFINITY = math.inf


@dataclass(frozen=True)
class Rule:
    """The values that an option accepts.

    Args:
        words: completes "KEY=VALUE must be ...".
        holds: predicate, called for values that are not null.
        null: whether null is accepted.
    """

    words: str
    holds: Callable[[Any], bool]
    null: bool = False

    def check(self, key: str, value: Any) -> None:
        """Raise UserError unless `value` is accepted."""
        if self.null if value is None else self.holds(value):
            return
        shown = {"None": "null", "True": "true", "False": "false"}.get(str(value), value)
        raise UserError(f"{key}={shown} must be {self.words}{', or null' if self.null else ''}")


def whole(least: float = -INFINITY, most: float = INFINITY, *, null: bool = False) -> Rule:
    """An integer in a range."""
    return Rule(f"a whole number{_range(least, most)}", lambda v: _is_number(v, int) and least <= v <= most, null)


def number(least: float = -INFINITY, most: float = INFINITY, *, null: bool = False) -> Rule:
    """A finite number, whole or not, in a range."""
    return Rule(f"a number{_range(least, most)}", lambda v: _is_number(v) and least <= v <= most, null)


def positive(*, null: bool = False) -> Rule:
    """A finite number above 0."""
    return Rule("a number above 0", lambda v: _is_number(v) and v > 0, null)


def switch(*more: str, null: bool = False) -> Rule:
    """True or false, also written 1 or 0, or one of the given words."""
    return Rule(_either("true", "false", *more), lambda v: v in (True, False, *more), null)


def word(*known: str) -> Rule:
    """One of the given words."""
    return Rule(_either(*known), lambda v: v in known)


def _either(*words: str) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _range(least: float, most: float) -> str:
    if most < INFINITY:
        return f" from {least:.10g} to {most:.10g}"
    return f" of at least {least:.10g}" if least > -INFINITY else ""


def _is_number(value: Any, kinds: Any = (int, float)) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)


def _are_devices(value: Any) -> bool:
    """Whether Lightning accepts it: a number, -1 or "auto" for all, or a list of devices, "0,2" or [0, 2]."""
    if isinstance(value, str):
        return bool(re.fullmatch(r"auto|-1|0*[1-9]\d*|(\d+,)+\d*", value))
    if isinstance(value, ListConfig):
        return bool(value) and all(_is_number(device, int) and device >= 0 for device in value)
    return _is_number(value, int) and (value == -1 or value > 0)


SEED = whole(0, 2**32 - 1)
INTERVAL = whole(0)  # in batches; 0 = never
RULES = {
    "seed": SEED,
    "batches": whole(1, null=True),
    "epochs": positive(null=True),
    "split": word("test", "val", "train"),
    "evaluation.batch_size": whole(1),
    "evaluation.keep": whole(0),
    "trainer.devices": Rule("auto, a whole number of at least 1, or -1 for all", _are_devices),
    "trainer.num_nodes": whole(1),
    "trainer.precision": Rule("a precision", lambda value: True, null=True),  # a word, although its default is a number
    "trainer.channels_last": switch("auto", null=True),
    "trainer.threads": whole(0, null=True),
    "trainer.accumulate": whole(1),
    "trainer.clip_norm": number(0, null=True),
    "trainer.average": number(null=True),  # its range is checked by training.weight_averaging
    "trainer.deterministic": switch("warn", null=True),
    "trainer.log_every": INTERVAL,
    "trainer.checkpoint_every": INTERVAL,
    "trainer.sample_every": INTERVAL,
    "trainer.validate_every": INTERVAL,
    "trainer.sample_count": whole(1),
    "data.batch_size": whole(1),
    "data.batches": whole(1, null=True),
    "data.epochs": positive(null=True),
    "data.seed": SEED,
    "data.pairs_seed": whole(0),
    "data.max_failed": number(0, 1),
    "data.workers": whole(0, null=True),
    "data.geometry.size": whole(1),
    "data.geometry.short_side": whole(1, null=True),
    "data.geometry.flip": number(0, 1),
    "schedule.warm_up": number(0, 1),
    "schedule.hold": number(0, 1),
    "schedule.last": number(0, 1),
    "schedule.gamma": positive(),
    "model.seed": SEED,
    "model.generator_every": whole(1),
    "model.*.width": positive(),
    "model.*.lr": number(0),
}
PATTERNS = [key for key in RULES if "*" in key]
UNKNOWN = object()  # stands for a missing value, ???
OF_DEFAULT: dict[type, Rule] = {bool: switch(), int: whole(), float: number()}


def check(config: DictConfig, defaults: DictConfig, keys: Iterable[str]) -> None:
    """Check the values of `keys`. Values that are not known yet, such as a reference to a missing value, are skipped.

    Args:
        config: as composed; references are followed.
        defaults: the config without experiment, scale and overrides of single values. An option without a rule must
            have the type that it has there, bool, int or float, or be null.
        keys: dotted keys of single values.

    Raises:
        UserError: naming the first wrong value and what is accepted.
    """
    for key in keys:
        try:
            value = OmegaConf.select(config, key, default=UNKNOWN)
            default = OmegaConf.select(defaults, key)
        except OmegaConfBaseException:
            continue
        rule = RULES.get(next((pattern for pattern in PATTERNS if fnmatchcase(key, pattern)), key))
        if rule is None and value is not None:
            rule = OF_DEFAULT.get(type(default))
        if rule and value is not UNKNOWN:
            rule.check(key, value)
