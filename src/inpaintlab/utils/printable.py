"""Show text from files, names and configs without letting it control the terminal or the page that shows it."""

from __future__ import annotations


def printable(text: object) -> str:
    """Return the text on one line; line breaks, escape sequences and the like appear as \\n, \\x1b, \\udcff.

    Also escaped are the characters that change the direction of text, and bytes of file names that are not UTF-8.
    """
    return "".join(one if one.isprintable() else _escaped(one) for one in str(text))


def _escaped(character: str) -> str:
    return ascii(character)[1:-1]


def markdown(text: object) -> str:
    """Return the text for a Markdown page: `printable`, and neither HTML nor the end of a table's cell."""
    return printable(text).replace("<", "\\<").replace("|", "\\|")


_TEX: dict[str, str | int | None] = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "\u2013": "--",
    **{character: f"\\{character}" for character in "&%_#${}"},
}


def latex(text: object) -> str:
    """Return the text for LaTeX: `printable`, and every character that TeX gives a meaning escaped."""
    return printable(text).translate(str.maketrans(_TEX))
