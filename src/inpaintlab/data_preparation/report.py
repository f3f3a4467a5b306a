"""The report of a verification: facts, remarks, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from inpaintlab.utils.printable import printable

SHOWN = 20  # lines under each heading on the terminal


@dataclass
class Findings:
    """The result of one or several checks.

    Args:
        facts: lines of the summary.
        notes: remarks that are not errors.
        wrong: for each kind of error, a line for each file or split that has it.
    """

    facts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    wrong: dict[str, list[str]] = field(default_factory=dict)

    def blame(self, heading: str, *about: str) -> None:
        """Add lines under the heading of an error."""
        self.wrong.setdefault(heading, []).extend(about)

    def extend(self, other: Findings) -> None:
        """Add the findings of another check."""
        self.facts += other.facts
        self.notes += other.notes
        for heading, about in other.wrong.items():
            self.blame(heading, *about)


@dataclass
class Report(Findings):
    """The findings about one set; `title` says which."""

    title: str = ""

    def text(self, shown: int | None = SHOWN) -> str:
        """Return the report as text, with at most `shown` lines under each heading of an error."""
        lines = [self.title, *(f"  {line}" for line in self.facts)]
        if self.notes:
            lines += ["", "Worth knowing:", *(f"  {line}" for line in self.notes)]
        lines += ["", "Wrong:" if self.wrong else "Nothing is wrong."]
        for heading, about in self.wrong.items():
            lines.append(f"  {heading} ({len(about)})" if about else f"  {heading}")
            lines += [f"    {line}" for line in about[:shown]]
            if shown is not None and len(about) > shown:
                lines.append(f"    and {len(about) - shown} more; --report FILE writes all of them")
        return "\n".join(map(printable, lines))


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return aligned lines, the first column to the left and the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
