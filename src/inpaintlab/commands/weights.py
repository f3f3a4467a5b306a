"""`inpaintlab weights`: list the files of pretrained networks and where they belong."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from inpaintlab.checkpoints import pretrained_files
from inpaintlab.errors import UserError


def status() -> str:
    """For every file: where it was found, or that it is missing."""
    lines = []
    for name, file in pretrained_files.FILES.items():
        try:
            state = f"found: {pretrained_files.find(name)}"
        except FileNotFoundError:
            state = "missing"
        except UserError as error:
            state = f"wrong: {error}"
        lines.append(f"{name:10} {file.name:45} {file.used_for:30} {state}")
    return "\n".join([*lines, "", "looked for in: " + ", ".join(map(str, pretrained_files.folders()))])


def main(arguments: Sequence[str] | None = None) -> None:
    """The program behind `inpaintlab weights`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if list(arguments) != ["status"]:
        print("usage: inpaintlab weights status\n\nWhich files of pretrained networks are here, and where they belong.")
        sys.exit(0 if list(arguments) in ([], ["--help"], ["-h"]) else 2)
    print(status())
