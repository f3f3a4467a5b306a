"""Pictures that fail in the middle of a training: named when they do, counted, and too many of them stop the run."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from inpaintlab.errors import UserError

NAMED = 20  # files that are named at once; the summary names as many
FEW = 10  # so many failed samples never stop a run, however short it is


class Failures:
    """The samples of a training that had to be replaced, as this process saw them.

    Of several processes each stops the training by its own samples, which are as good a share of the data as any other;
    what is kept and printed is the sum.

    Args:
        share: of the samples; more stop the training.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.samples = self.failed = 0
        self.reasons: dict[str, int] = {}  # what failed and why -> how often

    @classmethod
    def together(cls, share: float, states: Iterable[dict[str, Any]]) -> Failures:
        """The sum of what several processes counted, of each its `state()`."""
        of_all = cls(share)
        for state in states:
            of_all.samples += state["samples"]
            of_all.failed += state["failed"]
            for reason, count in state["reasons"].items():
                of_all.reasons[reason] = of_all.reasons.get(reason, 0) + count
        return of_all

    def add(self, failed: Sequence[str]) -> None:
        """Count a batch; for each sample what failed before it could be made, line by line.

        Raises:
            UserError: if more than `share` of all samples failed.
        """
        self.samples += len(failed)
        for lines in filter(None, failed):
            self.failed += 1
            for reason in lines.split("\n"):
                if reason not in self.reasons and len(self.reasons) < NAMED:
                    print(f"replaced in the training: {reason}", file=sys.stderr, flush=True)
                self.reasons[reason] = self.reasons.get(reason, 0) + 1
        if self.failed > max(FEW, self.share * self.samples):
            raise UserError(
                f"{self.summary()}\nThat is more than data.max_failed={self.share:g} allows: mend the files "
                "(`inpaintlab data verify` names all of them), or allow more"
            )

    def summary(self) -> str:
        """How many samples were replaced, and why; "" if none was."""
        if not self.failed:
            return ""
        often = sorted(self.reasons.items(), key=lambda item: -item[1])
        lines = [f"{self.failed} of {self.samples} samples could not be read and were replaced by others:"]
        lines += [f"  {reason}{f' ({count} times)' if count > 1 else ''}" for reason, count in often[:NAMED]]
        if len(often) > NAMED:
            lines.append(f"  and {len(often) - NAMED} more files")
        return "\n".join(lines)

    def state(self) -> dict[str, Any]:
        """Plain data for a checkpoint."""
        return {"samples": self.samples, "failed": self.failed, "reasons": dict(self.reasons)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on counting from `state`."""
        self.samples, self.failed, self.reasons = state["samples"], state["failed"], dict(state["reasons"])
