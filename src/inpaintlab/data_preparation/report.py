"""What a verification found, for a person: facts, what is worth knowing, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from inpaintlab.data.files.lists import printable

SHOWN = 20


@dataclass
class Report:
    """A verification.

    Args:
        title: what was verified.
        facts: lines of the summary.
        notes: what is no fault.
        wrong: heading -> what it is about, file by file.
    """

    title: str
    facts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    wrong: dict[str, list[str]] = field(default_factory=dict)

    def blame(self, heading: str, *about: str) -> None:
        """Add something that is wrong."""
        self.wrong.setdefault(heading, []).extend(about)

    def text(self, shown: int | None = SHOWN) -> str:
        """The whole report; at most `shown` lines under each heading of what is wrong."""
        lines = [self.title, *(f"  {line}" for line in self.facts)]
        if self.notes:
            lines += ["", "Worth knowing:", *(f"  {line}" for line in self.notes)]
        lines += ["", "Wrong:" if self.wrong else "Nothing is wrong."]
        for heading, about in self.wrong.items():
            lines.append(f"  {heading} ({len(about)})" if about else f"  {heading}")
            lines += [f"    {line}" for line in about[:shown]]
            if shown is not None and len(about) > shown:
                lines.append(f"    and {len(about) - shown} more; --report FILE writes them all")
        return printable("\n".join(lines))


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of columns; the first column is left-aligned."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
