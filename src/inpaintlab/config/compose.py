"""From override strings to a checked, resolved config, and from a config to the folder of its run.

Hydra refuses a mistyped key on the command line but takes any key from an experiment file, and it never proposes
the right name. `compose` does both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from inpaintlab.config import option_values as values
from inpaintlab.config.plain import to_plain, without_hydra
from inpaintlab.config.run_folder import register_resolvers
from inpaintlab.errors import UserError, check_choice, did_you_mean
from inpaintlab.utils import paths

# Hydra's options that are followed by a word.
TAKE_A_WORD = (
    *("-c", "--cfg", "-p", "--package", "-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir"),
    "--experimental-rerun",
)


def compose_config(overrides: Sequence[str], program: str = "train") -> DictConfig:
    """The config that Hydra composes from `conf/<program>.yaml` and the overrides, checked and resolved.

    Raises:
        UserError: naming the mistyped key or option and the nearest valid one.
    """
    return _resolved(_checked(overrides, program))


def make_launcher(overrides: Sequence[str]) -> Any:
    """What runs the jobs of a sweep: the config group `hydra/launcher`, local unless the overrides choose another."""
    return instantiate(_checked(overrides, "train").hydra.launcher).make()


def check_command_line(arguments: Sequence[str], program: str) -> None:
    """Check the overrides on a command line, every option of a sweep by itself, before Hydra sees them."""
    if any(argument in ("--help", "--hydra-help", "--info") or argument == "-h" for argument in arguments):
        return
    parsed = _parse(
        [
            argument
            for before, argument in zip(("", *arguments), arguments, strict=False)
            if not argument.startswith("-") and before not in TAKE_A_WORD
        ]
    )
    single = [o for o in parsed if not o.is_sweep_override()]
    sweeps = [o for o in parsed if o.is_sweep_override()]
    if sweeps and not {"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(arguments):
        raise UserError(
            f"{sweeps[0].input_line} stands for several runs: `inpaintlab {program} -m ...` does one after the other. "
            """A value with a comma in it needs quotes of its own, 'KEY="a,b"'"""
        )
    lines = [o.input_line for o in single if o.input_line]
    jobs = [[*lines, f"{sweep.get_key_element()}={value}"] for sweep in sweeps for value in _values(sweep)]
    for job in jobs or [lines]:
        full = _checked(job, program)
        if not sweeps and program == "train":
            _resolved(full)  # what is not set is named now; with several sweeps Hydra puts them together later


def _values(sweep: Override) -> list[str]:
    value, key = sweep.value(), sweep.get_key_element()
    if isinstance(value, Glob):
        names = value.filter(group_options(key))
        if not names:
            raise UserError(f"{sweep.input_line} fits none of {', '.join(group_options(key))}")
        return names
    return list(sweep.sweep_string_iterator()) if sweep.is_choice_sweep() or sweep.is_range_sweep() else []


# ---------------------------------------------------------------------- composing
def _checked(overrides: Sequence[str], program: str) -> DictConfig:
    parsed = _parse(overrides)
    _check_options(parsed)
    full = _compose(program, overrides, parsed)
    _check_contents(program, full, parsed)
    return full


def _compose(program: str, overrides: Sequence[str], parsed: Sequence[Override] = ()) -> DictConfig:
    register_resolvers()
    try:
        with initialize_config_dir(str(paths.conf()), version_base="1.3"):
            return hydra_compose(program, list(overrides), return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise _explained(program, error, parsed) from None


def _resolved(full: DictConfig) -> DictConfig:
    HydraConfig.instance().set_config(full)
    try:
        return OmegaConf.create(to_plain(without_hydra(full)))
    except OmegaConfBaseException as error:
        raise UserError(f"the config is incomplete: {error}") from None


def _parse(overrides: Sequence[str]) -> list[Override]:
    for word in overrides:
        if "=" not in word and not word.startswith("~"):
            group = next((g for g in ("experiment", "model", "data") if word in group_options(g)), None)
            raise UserError(f"{word!r} is not KEY=VALUE" + (f"; did you mean {group}={word}?" if group else ""))
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise UserError(str(error)) from None


# ---------------------------------------------------------------------- checking
def group_options(group: str) -> list[str]:
    """The names in a config group, "experiment" say."""
    return sorted(path.stem for path in (paths.conf() / group).glob("*.yaml"))


def _check_options(overrides: Iterable[Override]) -> None:
    for override in overrides:
        key = override.get_key_element().lstrip("+~")
        if not (paths.conf() / key).is_dir() or override.is_delete() or override.is_sweep_override():
            continue
        value = override.value()
        if value is not None:
            check_choice(key, str(value), group_options(key))


def _explained(program: str, error: Exception, overrides: Sequence[Override]) -> UserError:
    known = dict(_keys(_compose(program, [o.input_line for o in overrides if _is_group(o) and o.input_line])))
    for override in overrides:
        key = override.get_key_element()
        if not _is_group(override) and key not in known and not key.startswith(("+", "~", "hydra")):
            return UserError(f"the config has no key {key}{did_you_mean(key, known)}")
    return UserError(str(error))


def _check_contents(program: str, full: DictConfig, overrides: Sequence[Override]) -> None:
    """An experiment or scale file may only set keys that the config has without it; values must be of their kind."""
    choices = full.hydra.runtime.choices
    groups = [
        key for key in choices if key not in ("experiment", "scale", "recipe") and not str(key).startswith("hydra/")
    ]
    base = [f"{key}={choices[key]}" for key in groups if choices[key] is not None]
    defaults = _compose(program, base)
    leaves = dict(_keys(defaults))  # whether each known key is a single value
    added = {o.get_key_element().lstrip("+") for o in overrides if o.get_key_element().startswith("+")}
    for key, _ in _keys(full):
        parents = [key[:i] for i, letter in enumerate(key) if letter == "."]
        # What stands below a single value, null say, is a whole object that replaces it.
        if key in leaves or added & {key, *parents} or any(leaves.get(parent) for parent in parents):
            continue
        source = choices.get("experiment") or choices.get("scale")
        raise UserError(f"conf/experiment/{source}.yaml sets {key}, which does not exist{did_you_mean(key, leaves)}")
    values.check(full, defaults, (key for key, single in _keys(full) if single))


def _is_group(override: Override) -> bool:
    return (paths.conf() / override.get_key_element().lstrip("+~")).is_dir()


def _keys(config: DictConfig, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """All dotted keys but Hydra's own, and whether each is a single value (also a list, null or a reference)."""
    for key in map(str, config):
        if not prefix and key == "hydra":
            continue
        child = config._get_node(key)
        if not isinstance(child, DictConfig) or child._is_interpolation() or child._is_none():
            yield f"{prefix}{key}", True
        else:
            yield f"{prefix}{key}", False
            yield from _keys(child, f"{prefix}{key}.")
