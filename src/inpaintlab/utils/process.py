"""How every program ends: what the user can mend is one sentence, everything else keeps its traceback."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from inpaintlab.errors import UserError

MENDABLE = (UserError, FileNotFoundError, PermissionError)
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)  # to stop; SLURM's --signal is one of the last two


def explain(error: BaseException) -> str | None:
    """The sentence for an error that the user can mend, or None."""
    if isinstance(error, MENDABLE):
        return _own_words(error)
    cause = error.__cause__
    if type(error).__name__ == "InstantiationException" and isinstance(cause, (ValueError, TypeError, OSError)):
        where = str(error).rpartition("full_key: ")[2] if "full_key: " in str(error) else ""
        return f"{where}: {cause}" if where and not isinstance(cause, MENDABLE) else str(cause)
    return None


def _own_words(error: BaseException) -> str:
    """The message; of an error in a loader's worker torch makes one that holds the worker's traceback, ending in it."""
    text, name = str(error), type(error).__name__
    return text.rpartition(f"{name}: ")[2].strip() if text.startswith(f"Caught {name} in DataLoader worker") else text


@contextmanager
def ending_with_a_sentence() -> Iterator[None]:
    """A mendable error is printed and ends the process with status 1.

    Programs of Hydra need this inside their job, too: Hydra writes a line of its own about what leaves it.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except Exception as error:
        sentence = explain(error)
        if sentence is None or os.environ.get("INPAINTLAB_TRACEBACK"):
            raise
        print(f"error: {sentence}", file=sys.stderr)
        sys.exit(1)


def run_program(program: Callable[[], object], *first: Callable[[], object]) -> None:
    """Run `first`, then `program`; a mendable error is printed and ends the process with status 1.

    Set INPAINTLAB_TRACEBACK=1 to see where it was raised.
    """
    # Torch's threads wait for each other by spinning; by default so long that two programs on the same cores slow each
    # other down 30 times. This much costs a lone program 4 % and leaves two at about a third of its speed each.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra would print a cut traceback and end the process itself
    try:
        with ending_with_a_sentence():
            for step in first:
                step()
            program()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of the output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def stopped(status: int) -> bool:
    """Whether an exit status of a process (negative: ended by that signal) says that it was asked to stop."""
    return status in {s for number in (*SIGNALS, signal.SIGINT) for s in (-number, 128 + number)}


def first_process() -> bool:
    """Whether this is the only or the first process of a run, before Lightning, torchrun or SLURM connected them."""
    return not any(int(os.environ.get(name, 0)) for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


def end_with_parent(number: int) -> None:
    """Have the kernel send this process a signal when its parent dies, even of SIGKILL; on Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, number)  # PR_SET_PDEATHSIG
