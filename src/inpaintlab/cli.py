"""The command `inpaintlab`: find the sub-command and pass the arguments on."""

from __future__ import annotations

import importlib
import sys

from inpaintlab import __version__
from inpaintlab.errors import did_you_mean

# name -> (module of `inpaintlab.commands`, purpose)
COMMANDS = {
    "train": ("train", "train a run, or continue it"),
    "evaluate": ("evaluate", "compute the metrics of a checkpoint on fixed pairs of picture and hole"),
    "inpaint": ("inpaint", "fill holes in pictures with a checkpoint"),
    "import": ("import_weights", "convert a checkpoint released by the authors of a paper into one of ours"),
    "data": ("data", "verify and prepare pictures and masks, write evaluation pairs"),
    "weights": ("weights", "list the files of pretrained networks and where they belong"),
    "info": ("info", "describe a system, and measure how signals pass through its generator"),
    "table": ("table", "reproduce a table of a paper"),
    "dashboard": ("dashboard", "draw the curves and results of runs"),
}


def main() -> None:
    """Run the sub-command that the command line names."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: inpaintlab COMMAND ...\n")
        for name, (_, purpose) in COMMANDS.items():
            print(f"  {name:10} {purpose}")
        print("\nRun `inpaintlab COMMAND --help` for details.")
        return
    if arguments[0] == "--version":
        print(__version__)
        return
    name = arguments[0]
    if name not in COMMANDS:
        hint = did_you_mean(name, COMMANDS) or "."
        print(f"error: unknown command {name!r}{hint} Expected one of {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)
    importlib.import_module(f"inpaintlab.commands.{COMMANDS[name][0]}").main(arguments[1:])
