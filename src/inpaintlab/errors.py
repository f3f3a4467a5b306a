"""Errors that the user can correct. Programs print them as one sentence and everything else with its traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """The input is wrong. The message says what was given, what is accepted and what to do.

    Args:
        sentence: the message.
        more: further lines of it. A line break inside `sentence`, from the name of a file for example, is printed
            escaped, so that no file can add a line to what a program says.
    """

    def __init__(self, sentence: str = "", *more: str) -> None:
        super().__init__("\n".join((sentence, *more)))
        self.lines = (sentence, *more)


class UnknownChoice(UserError):
    """An option has a value that is not among its choices."""


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raise unless `value` is one of `choices`.

    Args:
        name: of the option, as the user writes it.

    Raises:
        UnknownChoice: listing the choices, and the nearest one if the value looks like a typing error.
    """
    known = list(choices)
    if value in known:
        return
    shown = ", ".join("null" if choice is None else str(choice) for choice in known)
    raise UnknownChoice(f"{name} must be one of {shown}; got {value!r}{did_you_mean(value, known)}")


def did_you_mean(value: object, choices: Iterable[object]) -> str:
    """A hint "; did you mean X?" for a value that is close to one of `choices`, otherwise an empty string."""
    found = difflib.get_close_matches(str(value), [str(choice) for choice in choices], n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""
