"""Start and end of programs: errors that the user can correct are printed as one sentence, others with a traceback."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from inpaintlab.errors import UnknownChoice, UserError
from inpaintlab.utils.printable import printable

MENDABLE = (UserError, FileNotFoundError, PermissionError)
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)  # requests to stop; SLURM sends one of the last two


def explain(error: BaseException) -> str | None:
    """The sentence to print for an error that the user can correct, or None for any other error.

    Control characters, which names of files may hold, are escaped.
    """
    if isinstance(error, UserError) and not _is_from_worker(error):
        return "\n".join(map(printable, error.lines))
    if isinstance(error, MENDABLE):
        return printable(_own_words(error))
    cause = error.__cause__
    if type(error).__name__ == "InstantiationException" and isinstance(cause, (ValueError, TypeError, OSError)):
        where = str(error).rpartition("full_key: ")[2] if "full_key: " in str(error) else ""
        if isinstance(cause, MENDABLE) and not isinstance(cause, UnknownChoice):  # it says where by itself
            return explain(cause)
        return printable(f"{where}: {cause}" if where else cause)
    return None


def _is_from_worker(error: BaseException) -> bool:
    return str(error).startswith(f"Caught {type(error).__name__} in DataLoader worker")


def _own_words(error: BaseException) -> str:
    """The message without the traceback that torch puts before it when the error comes from a worker process."""
    text, name = str(error), type(error).__name__
    return text.rpartition(f"{name}: ")[2].strip() if _is_from_worker(error) else text


@contextmanager
def ending_with_a_sentence() -> Iterator[None]:
    """Print an error that the user can correct, and end the process with status 1.

    Hydra programs need this inside their job too, since Hydra adds its own line for an exception that leaves the job.
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
    """Run `first`, then `program`; an error that the user can correct is printed and ends the process with status 1.

    With the environment variable INPAINTLAB_TRACEBACK=1 its traceback is printed instead.
    """
    # Torch's threads spin while they wait for each other, by default so long that two programs on the same cores slow
    # each other down 30 times. With this value a single program loses 4 % of its speed, and two keep a third each.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # otherwise Hydra prints a shortened traceback and exits itself
    try:
        with ending_with_a_sentence():
            for step in first:
                step()
            program()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of the output, for example `head`, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def stopped(status: int) -> bool:
    """Whether the exit status of a process means that it was asked to stop.

    Args:
        status: a negative one means that the signal of that number ended the process.
    """
    return status in {s for number in (*SIGNALS, signal.SIGINT) for s in (-number, 128 + number)}


def first_process() -> bool:
    """Whether this is the only or the first process of a run; works before Lightning has connected the processes."""
    return not any(int(os.environ.get(name, 0)) for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


def end_with_parent(number: int) -> None:
    """On Linux, have the kernel send this process signal `number` when its parent ends, even by SIGKILL."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, number)  # PR_SET_PDEATHSIG
