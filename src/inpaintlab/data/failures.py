"""Count samples that cannot be read during training, report them, and stop the run if there are too many."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TypedDict

from inpaintlab.errors import UserError
from inpaintlab.utils.printable import printable

NAMED = 20  # files that are named, as they fail and again in the summary
TOLERATED = 10  # failures that never stop a run, however short it is


class Counts(TypedDict):
    """The state of `Failures` as plain data, for checkpoints."""

    samples: int
    failed: int
    reasons: dict[str, int]


class Failures:
    """The samples of a training that were replaced, as counted in this process.

    With several processes each one checks its own samples against `share`; what is saved and printed is the sum.

    Args:
        share: of all samples; training stops if more than this fail.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.samples = self.failed = 0
        self.reasons: dict[str, int] = {}  # the file and its error -> number of failures

    @classmethod
    def merged(cls, share: float, counts: Iterable[Counts]) -> Failures:
        """Return the sum of the counts of several processes."""
        total = cls(share)
        for one in counts:
            total.samples += one["samples"]
            total.failed += one["failed"]
            for reason, count in one["reasons"].items():
                total.reasons[reason] = total.reasons.get(reason, 0) + count
        return total

    def add(self, failed: Sequence[str]) -> None:
        """Count a batch.

        Args:
            failed: for each sample, one line for each file that failed before a sample could be made; "" for none.

        Raises:
            UserError: if more than `share` of all samples failed.
        """
        self.samples += len(failed)
        for lines in filter(None, failed):
            self.failed += 1
            for reason in lines.split("\n"):
                if reason not in self.reasons and len(self.reasons) < NAMED:
                    print(f"replaced in the training: {printable(reason)}", file=sys.stderr, flush=True)
                self.reasons[reason] = self.reasons.get(reason, 0) + 1
        if self.failed > max(TOLERATED, self.share * self.samples):
            raise UserError(
                *self.summary().split("\n"),
                f"That is more than data.max_failed={self.share:g} allows: repair the files "
                "(`inpaintlab data verify` names all of them) or allow more",
            )

    def summary(self) -> str:
        """Return how many samples were replaced and why; "" if none was."""
        if not self.failed:
            return ""
        often = sorted(self.reasons.items(), key=lambda item: -item[1])
        lines = [f"{self.failed} of {self.samples} samples could not be read and were replaced by others:"]
        lines += [f"  {printable(reason)}{f' ({count} times)' if count > 1 else ''}" for reason, count in often[:NAMED]]
        if len(often) > NAMED:
            lines.append(f"  and {len(often) - NAMED} more files")
        return "\n".join(lines)

    def state(self) -> Counts:
        """Return a copy of the counts."""
        return {"samples": self.samples, "failed": self.failed, "reasons": dict(self.reasons)}

    def restore(self, counts: Counts) -> None:
        """Continue from `counts`."""
        self.samples, self.failed, self.reasons = counts["samples"], counts["failed"], dict(counts["reasons"])
