"""Compose a checked and resolved config from overrides.

Hydra refuses a mistyped key on the command line but accepts any key from an experiment file, and it never suggests the
right name. `compose_config` refuses both and suggests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from inpaintlab.config import option_values
from inpaintlab.config.plain import to_plain, without_hydra
from inpaintlab.config.run_folder import register_resolvers
from inpaintlab.errors import UserError, check_choice, did_you_mean
from inpaintlab.utils import paths

# Groups whose files set keys of the whole config. All others define the keys below their own name.
OVERLAYS = ("experiment", "scale", "recipe")


def compose_config(overrides: Sequence[str], program: str = "train") -> DictConfig:
    """The config that Hydra composes from `conf/<program>.yaml` and the overrides, checked and resolved.

    Raises:
        UserError: naming the mistyped key or option and the nearest valid one, or the wrong or missing value.
    """
    return resolve(compose_checked(overrides, program))


def compose_checked(overrides: Sequence[str], program: str) -> DictConfig:
    """The config with Hydra's own keys, checked; references are not resolved, and values may be missing.

    Raises:
        UserError: see `compose_config`.
    """
    parsed = parse_overrides(overrides)
    _check_options(parsed)
    full = _compose(program, overrides, parsed)
    _check_contents(program, full, parsed)
    return full


def resolve(full: DictConfig) -> DictConfig:
    """The config of `compose_checked` without Hydra's keys and without references.

    Raises:
        UserError: naming a value that must be given.
    """
    HydraConfig.instance().set_config(full)
    try:
        return OmegaConf.create(to_plain(without_hydra(full)))
    except OmegaConfBaseException as error:
        raise UserError(f"the config is incomplete: {error}") from None


def parse_overrides(overrides: Sequence[str]) -> list[Override]:
    """Parse overrides by Hydra's grammar.

    Raises:
        UserError: for a word that is not an override.
    """
    for word in overrides:
        if "=" not in word and not word.startswith("~"):
            group = next((g for g in ("experiment", "model", "data") if word in group_options(g)), None)
            raise UserError(f"expected KEY=VALUE, got {word!r}" + (f"; did you mean {group}={word}?" if group else ""))
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise UserError(str(error)) from None


def group_options(group: str) -> list[str]:
    """The names in a config group, for example in "experiment"."""
    return sorted(path.stem for path in (paths.conf() / group).glob("*.yaml"))


# ---------------------------------------------------------------------- composing
def _compose(program: str, overrides: Sequence[str], parsed: Sequence[Override] = ()) -> DictConfig:
    register_resolvers()
    try:
        with initialize_config_dir(str(paths.conf()), version_base="1.3"):
            return hydra_compose(program, list(overrides), return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise _explained(program, error, parsed) from None


def _explained(program: str, error: Exception, overrides: Sequence[Override]) -> UserError:
    """Name the override with an unknown key, or repeat Hydra's message if there is none."""
    known = dict(_keys(_compose(program, [o.input_line for o in overrides if _is_group(o) and o.input_line])))
    for override in overrides:
        key = override.get_key_element()
        if not _is_group(override) and key not in known and not key.startswith(("+", "~", "hydra")):
            return UserError(f"the config has no key {key}{did_you_mean(key, known)}")
    return UserError(str(error))


# ---------------------------------------------------------------------- checking
def _check_options(overrides: Iterable[Override]) -> None:
    """Check the options of config groups, for example `masks=square`."""
    for override in overrides:
        if not _is_group(override) or override.is_delete() or override.is_sweep_override():
            continue
        key, value = override.get_key_element().lstrip("+~"), override.value()
        if value is not None:
            check_choice(key, str(value), group_options(key))


def _check_contents(program: str, full: DictConfig, overrides: Sequence[Override]) -> None:
    """Check that overlays set only keys that exist without them, and that all values are valid."""
    choices = {str(group): choice for group, choice in full.hydra.runtime.choices.items()}
    base = [
        f"{group}={choice}"
        for group, choice in choices.items()
        if choice is not None and group not in OVERLAYS and not group.startswith("hydra/")
    ]
    defaults = _compose(program, base)
    is_single = dict(_keys(defaults))
    added = {o.get_key_element().lstrip("+") for o in overrides if o.get_key_element().startswith("+")}
    for key, _ in _keys(full):
        parents = {key[:i] for i, letter in enumerate(key) if letter == "."}
        # A key below a single value, such as null, belongs to an object that replaces that value.
        replaces_value = any(is_single.get(parent, False) for parent in parents)
        if key in is_single or replaces_value or added & {key, *parents}:
            continue
        source = choices.get("experiment") or choices.get("scale")
        raise UserError(f"conf/experiment/{source}.yaml sets {key}, which does not exist{did_you_mean(key, is_single)}")
    _check_schedule(full, overrides)
    option_values.check(full, defaults, (key for key, single in _keys(full) if single))


def _check_schedule(full: DictConfig, overrides: Sequence[Override]) -> None:
    """Refuse schedule=KIND if a recipe sets another kind: Hydra applies a recipe after the groups, so it would win."""
    given = {override.get_key_element(): override for override in overrides if not override.is_sweep_override()}
    if "schedule" in given and "schedule.kind" not in given:
        chosen, kind = given["schedule"].value(), full.schedule.kind
        if chosen != kind:
            raise UserError(
                f"schedule={chosen} has no effect, because conf/recipe/{full.hydra.runtime.choices.recipe}.yaml sets "
                f"schedule.kind={kind}; give schedule.kind={chosen} instead"
            )


def _is_group(override: Override) -> bool:
    return (paths.conf() / override.get_key_element().lstrip("+~")).is_dir()


def _keys(config: DictConfig, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """All dotted keys except Hydra's, and whether each is a single value (also a list, null or a reference)."""
    for key in map(str, config):
        if not prefix and key == "hydra":
            continue
        child = config._get_node(key)
        if not isinstance(child, DictConfig) or child._is_interpolation() or child._is_none():
            yield f"{prefix}{key}", True
        else:
            yield f"{prefix}{key}", False
            yield from _keys(child, f"{prefix}{key}.")
