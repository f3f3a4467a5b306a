"""Run a function on the config that Hydra composes from a command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from inpaintlab.utils import paths
from inpaintlab.utils.process import ending_with_a_sentence, run_program

if TYPE_CHECKING:
    from omegaconf import DictConfig

HELP = ("-h", "--help")


def run_hydra_program(command: str, arguments: Sequence[str], program: Callable[[DictConfig], object]) -> None:
    """Check the overrides, then call `program` with the config composed from `conf/<command>.yaml`.

    Args:
        command: the sub-command of `inpaintlab`, which is also the name of the config.
        arguments: that follow it on the command line, Hydra's own options (`-m`, `--cfg`) included.
        program: called with the composed config, once per run of a sweep.
    """
    import hydra

    from inpaintlab.config.command_line import check_command_line
    from inpaintlab.config.run_folder import register_resolvers

    started_as = sys.argv
    register_resolvers()

    def job(config: DictConfig) -> None:
        # Lightning starts the other processes of a DDP run with the command line of this process.
        sys.argv = [started_as[0], command, *arguments]
        with ending_with_a_sentence():
            program(config)

    def start() -> None:
        sys.argv = [started_as[0], *arguments]  # Hydra reads it and knows no sub-commands
        try:
            hydra.main(config_path=str(paths.conf()), config_name=command, version_base="1.3")(job)()
        finally:
            sys.argv = started_as

    run_program(start, lambda: check_command_line(arguments, command))


def group_names(*groups: str) -> dict[str, str]:
    """The options of each config group as a comma-separated line, for help texts."""
    return {g: ", ".join(sorted(p.stem for p in (paths.conf() / g).glob("*.yaml"))) for g in groups}
