"""Check the overrides on a command line before Hydra composes a config from them."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.override_parser.types import Glob, Override

from inpaintlab.config.compose import compose_checked, group_options, parse_overrides, resolve
from inpaintlab.errors import UserError

# Hydra's options that take a value, which stands in the next argument.
WITH_VALUE = (
    *("-c", "--cfg", "-p", "--package", "-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir"),
    "--experimental-rerun",
)
HELP = ("-h", "--help", "--hydra-help", "--info")
MULTIRUN = ("-m", "--multirun", "hydra.mode=MULTIRUN")


def check_command_line(arguments: Sequence[str], program: str) -> None:
    """Check every override; in a sweep, each value of each swept key by itself.

    Args:
        arguments: of the program, Hydra's own options included.
        program: name of the config.

    Raises:
        UserError: naming the first override that is wrong.
    """
    if set(HELP) & set(arguments):
        return
    overrides = parse_overrides(_without_options(arguments))
    sweeps = [o for o in overrides if o.is_sweep_override()]
    single = [o.input_line for o in overrides if o.input_line and not o.is_sweep_override()]
    if not sweeps:
        full = compose_checked(single, program)
        if program == "train":
            resolve(full)  # names a value that is not set; a sweep may set it, so there Hydra does it for each run
        return
    if not set(MULTIRUN) & set(arguments):
        raise UserError(
            f"{sweeps[0].input_line} describes several runs: train them with `inpaintlab {program} -m ...`. "
            """A value that contains a comma needs its own quotes, 'KEY="a,b"'"""
        )
    runs = [[*single, f"{sweep.get_key_element()}={value}"] for sweep in sweeps for value in _values(sweep)]
    for run in runs or [single]:
        compose_checked(run, program)


def _without_options(arguments: Sequence[str]) -> list[str]:
    """The overrides among the arguments."""
    return [
        argument
        for place, argument in enumerate(arguments)
        if not argument.startswith("-") and (place == 0 or arguments[place - 1] not in WITH_VALUE)
    ]


def _values(sweep: Override) -> list[str]:
    """The values that a swept key takes."""
    value, key = sweep.value(), sweep.get_key_element()
    if isinstance(value, Glob):
        names = value.filter(group_options(key))
        if not names:
            raise UserError(f"{sweep.input_line} matches none of {', '.join(group_options(key))}")
        return names
    return list(sweep.sweep_string_iterator()) if sweep.is_choice_sweep() or sweep.is_range_sweep() else []
