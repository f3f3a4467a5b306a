"""`inpaintlab weights`: list the weight files of pretrained networks and where they belong."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from inpaintlab.checkpoints import pretrained_files
from inpaintlab.errors import UserError


def status() -> str:
    """Return a line for every file: where it was found, that it is missing, or what is wrong with it."""
    lines = []
    for name, file in pretrained_files.FILES.items():
        try:
            state = f"found: {pretrained_files.find(name)}"
        except FileNotFoundError:
            state = "missing"
        except UserError as error:
            state = f"wrong: {error}"
        lines.append(f"{name:10} {file.name:45} {file.used_for:30} {state}")
    return "\n".join([*lines, "", "searched folders: " + ", ".join(map(str, pretrained_files.folders()))])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `inpaintlab weights`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if list(arguments) != ["status"]:
        print(
            "usage: inpaintlab weights status\n\n"
            "List the weight files of pretrained networks: which are found, which are missing, and where they belong."
        )
        sys.exit(0 if list(arguments) in ([], ["--help"], ["-h"]) else 2)
    print(status())
