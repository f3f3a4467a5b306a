"""From override strings to a checked, resolved config, and from a config to the folder of its run.

Hydra refuses a mistyped key on the command line but takes any key from an experiment file, and it never proposes
the right name. `compose` does both.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue, OmegaConfBaseException

from inpaintlab import options as values
from inpaintlab import paths
from inpaintlab.errors import UserError
from inpaintlab.weights import NETWORKS

# Runs that differ only here are the same training, or differ by the seed alone, and share a folder.
NOT_IN_RUN_NAME = (
    "seed",
    "model.seed",
    "data.seed",
    "data.pictures.scan_cache",
    "trainer",
    "logger",
    "output",
    "masks",
    "evaluate",
    "evaluation",
    "data.test_holes",
    "data.pairs_seed",
    "data.pairing",
    "data.manifest",
    "data.max_failed",
    "data.test_masks_in_training",
    "data.workers",
    *(f"weights.{network}" for network in NETWORKS.values()),
)
# Of the trainer's options, those that change what is learnt; where they are not off they are part of a run's name.
OFF = {"accumulate": 1, "clip_norm": None, "average": None}
# Hydra's options that are followed by a word.
TAKE_A_WORD = (
    *("-c", "--cfg", "-p", "--package", "-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir"),
    "--experimental-rerun",
)
EVALUATION = ("data.pictures", "data.geometry", "data.test_holes", "data.pairs_seed", "evaluation.protocol")


def register_resolvers() -> None:
    """Make `${run_name:}`, `${run_system:}` and `${run_subfolder:}` known to configs. May be called repeatedly."""
    OmegaConf.register_new_resolver("run_name", _run_name, replace=True)
    OmegaConf.register_new_resolver("run_system", lambda: HydraConfig.get().runtime.choices["model"], replace=True)
    OmegaConf.register_new_resolver("run_subfolder", lambda *, _root_: str(_subfolder(_root_)), replace=True)


def _run_name() -> str:
    choices = HydraConfig.get().runtime.choices
    return choices["experiment"] or f"{choices['model']}_{choices['data']}"


def compose(overrides: Sequence[str], program: str = "train") -> DictConfig:
    """The config that Hydra composes from `conf/<program>.yaml` and the overrides, checked and resolved.

    Raises:
        UserError: naming the mistyped key or option and the nearest valid one.
    """
    return _resolved(_checked(overrides, program))


def launcher(overrides: Sequence[str]) -> Any:
    """What runs the jobs of a sweep: the config group `hydra/launcher`, local unless the overrides choose another."""
    return instantiate(_checked(overrides, "train").hydra.launcher).make()


def check(arguments: Sequence[str], program: str) -> None:
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
    plain = [o for o in parsed if not o.is_sweep_override()]
    sweeps = [o for o in parsed if o.is_sweep_override()]
    if sweeps and not {"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(arguments):
        raise UserError(
            f"{sweeps[0].input_line} stands for several runs: `inpaintlab {program} -m ...` does one after the other. "
            """A value with a comma in it needs quotes of its own, 'KEY="a,b"'"""
        )
    lines = [o.input_line for o in plain if o.input_line]
    jobs = [[*lines, f"{sweep.get_key_element()}={value}"] for sweep in sweeps for value in _values(sweep)]
    for job in jobs or [lines]:
        full = _checked(job, program)
        if not sweeps and program == "train":
            _resolved(full)  # what is not set is named now; with several sweeps Hydra puts them together later


def _values(sweep: Override) -> list[str]:
    value, key = sweep.value(), sweep.get_key_element()
    if isinstance(value, Glob):
        names = value.filter(options(key))
        if not names:
            raise UserError(f"{sweep.input_line} fits none of {', '.join(options(key))}")
        return names
    return list(sweep.sweep_string_iterator()) if sweep.is_choice_sweep() or sweep.is_range_sweep() else []


def digest(config: Any) -> str:
    """Eight characters that depend on the content of a plain container."""
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()[:8]


def plain(config: DictConfig) -> dict[str, Any]:
    """The config as plain, resolved data.

    Raises:
        UserError: naming a value that must be given.
    """
    try:
        container = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise UserError(f"{error.full_key} is not set: give it as {error.full_key}=...") from None
    except InterpolationToMissingValueError as error:  # its full_key is what refers to the missing one
        found = re.search(r"Missing mandatory value: (\S+)", str(error))
        key = found[1] if found else error.full_key
        raise UserError(f"{key} is not set: give it as {key}=...") from None
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def run_folder(config: DictConfig) -> Path:
    """`<output>/<name>/<scale>-<digest of the config>/seed<seed>`: no time stamp, so runs find themselves again."""
    return Path(str(config.output)) / _subfolder(config)


def _subfolder(config: DictConfig) -> Path:
    content = plain(_without_hydra(config))
    learning = {key: content["trainer"][key] for key, off in OFF.items() if content["trainer"][key] != off}
    for key in NOT_IN_RUN_NAME:
        _drop(content, key)
    if learning:
        content["trainer"] = learning
    return Path(str(config.name)) / f"{config.scale.name}-{digest(content)}" / f"seed{config.seed}"


def evaluation_key(config: dict[str, Any]) -> str:
    """Eight characters for the pairs, the protocol and the networks of an evaluation; `config` is plain data."""
    content = {key: _get(config, key) for key in EVALUATION}
    protocol = config["data"].get("pairing", "every_bin")
    if protocol != "every_bin":  # added later; the default keeps its name
        content["data.pairing"] = protocol
    if config["evaluation"].get("average"):
        content["evaluation.average"] = True
    for key in ("pictures.on_broken", "pictures.scan_cache"):
        _drop(content["data.pictures"], key.split(".")[1])
    for metric, network in NETWORKS.items():
        if _get(config, f"evaluation.{metric}"):
            content[f"weights.{network}"] = _get(config, f"weights.{network}")
    if _get(config, "evaluation.seconds"):
        content["evaluation.seconds"] = True
    return digest(content)


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
        return OmegaConf.create(plain(_without_hydra(full)))
    except OmegaConfBaseException as error:
        raise UserError(f"the config is incomplete: {error}") from None


def _without_hydra(config: DictConfig) -> DictConfig:
    copy = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    OmegaConf.set_readonly(copy, False)
    OmegaConf.set_struct(copy, False)
    return copy


def _parse(overrides: Sequence[str]) -> list[Override]:
    for word in overrides:
        if "=" not in word and not word.startswith("~"):
            group = next((g for g in ("experiment", "model", "data") if word in options(g)), None)
            raise UserError(f"{word!r} is not KEY=VALUE" + (f"; did you mean {group}={word}?" if group else ""))
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise UserError(str(error)) from None


# ---------------------------------------------------------------------- checking
def options(group: str) -> list[str]:
    """The names in a config group, "experiment" say."""
    return sorted(path.stem for path in (paths.conf() / group).glob("*.yaml"))


def _check_options(overrides: Iterable[Override]) -> None:
    for override in overrides:
        key = override.get_key_element().lstrip("+~")
        if not (paths.conf() / key).is_dir() or override.is_delete() or override.is_sweep_override():
            continue
        value = override.value()
        known = options(key)
        if value is not None and str(value) not in known:
            raise UserError(f"{key}={value} is unknown{_nearest(str(value), known)}; known are {', '.join(known)}")


def _explained(program: str, error: Exception, overrides: Sequence[Override]) -> UserError:
    known = dict(_keys(_compose(program, [o.input_line for o in overrides if _is_group(o) and o.input_line])))
    for override in overrides:
        key = override.get_key_element()
        if not _is_group(override) and key not in known and not key.startswith(("+", "~", "hydra")):
            return UserError(f"the config has no key {key}{_nearest(key, known)}")
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
        raise UserError(f"conf/experiment/{source}.yaml sets {key}, which does not exist{_nearest(key, leaves)}")
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


def _nearest(name: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""


def _get(container: dict[str, Any], key: str) -> Any:
    value: Any = container
    for part in key.split("."):
        value = value[part]
    return value


def _drop(container: dict[str, Any], key: str) -> None:
    *parents, last = key.split(".")
    for part in parents:
        container = container.get(part) or {}
    container.pop(last, None)
