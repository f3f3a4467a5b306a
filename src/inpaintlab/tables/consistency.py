"""Check inequalities between the metrics of one table, which reveal how a metric was defined.

For means over pictures of errors of values in [0, 1], Jensen's inequality gives L2 >= 10^(-PSNR/10). If all errors lie
in a hole that takes the share h of the picture, the Cauchy-Schwarz inequality gives L1 <= sqrt(h L2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

from inpaintlab.tables.results import Measured
from inpaintlab.tables.spec import Table

# The protocols that measure such errors, with h: 1 for "deepfill", which averages over the hole; None: see `_share`.
PLAIN = {"standard": None, "deepfill": 1.0}
LIFT = 1.1  # L1 can exceed sqrt(h) 10^(-PSNR/20) by this factor if the PSNR of the pictures spreads by 2 to 3 dB
KEYS = ("psnr", "l1_pct", "l2_pct")


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Args:
        law: "Jensen", "Cauchy-Schwarz", or "PSNR" for the check of L1 where no L2 is given.
        quotient: of the side that should be smaller to the other; above 1 the numbers contradict each other.
    """

    row: str
    bin: str
    law: str
    quotient: float


def check(table: Table, results: dict[str, Measured]) -> list[str]:
    """Return one sentence per row and law that is violated, or one with the number of checks; [] without checks."""
    if table.kind != "comparison" or table.protocol not in PLAIN:
        return []
    found = [*printed(table), *measured(table, results)]
    bad = [finding for finding in found if finding.quotient > 1]
    if not bad:
        text = "L1, L2 and PSNR, printed and measured, satisfy the inequalities that hold between them"
        return [f"{text} ({len(found)} checks)."] if found else []
    lines = []
    for row, law in dict.fromkeys((finding.row, finding.law) for finding in bad):
        group = [finding for finding in bad if (finding.row, finding.law) == (row, law)]
        where = ", ".join(finding.bin for finding in group)
        lines.append(f"{row}, {where}: {_sentence(law, max(finding.quotient for finding in group))}.")
    return lines


def _sentence(law: str, quotient: float) -> str:
    if law == "Jensen":
        return f"L2 is less than the PSNR allows (by a factor of {quotient:.2f}); they are not means of the same errors"
    if law == "Cauchy-Schwarz":
        return f"L1 is {quotient:.2f} times what errors in the hole alone can have with this L2"
    doubt = "" if quotient > LIFT else f", which the spread of the PSNR may lift by up to {LIFT - 1:.0%}"
    return f"L1 is {quotient:.2f} times the limit for errors in the hole alone with this PSNR{doubt}"


def printed(table: Table) -> Iterator[Finding]:
    """Yield the checks of the published numbers; a number may lie anywhere within its rounding."""
    half = {metric.key: 0.5 * 10**-metric.decimals for metric in table.metrics}
    for row in table.rows:
        for bin in table.bins:
            numbers = {key: values[bin] for key, values in row.published.items() if values[bin] is not None}
            ranges = {key: (number - half[key], number + half[key]) for key, number in numbers.items()}
            yield from _checks(f"{row.label} (printed)", bin, PLAIN[table.protocol] or _share(bin), ranges)


def measured(table: Table, results: dict[str, Measured]) -> Iterator[Finding]:
    """Yield the checks of the measured numbers."""
    for label, result in results.items():
        for bin in dict.fromkeys((*table.bins, *result.bins)):
            numbers = {key: result.mean(key, bin) for key in KEYS}
            ranges = {key: (number, number) for key, number in numbers.items() if number is not None}
            yield from _checks(f"{label} (measured)", bin, PLAIN[table.protocol] or _share(bin), ranges)


def _checks(row: str, bin: str, share: float | None, ranges: dict[str, tuple[float, float]]) -> Iterator[Finding]:
    """Yield the checks of one cell; `ranges` holds the smallest and the largest possible value of each metric."""
    psnr, l1, l2 = (ranges.get(key) for key in KEYS)
    if psnr and l2:
        yield Finding(row, bin, "Jensen", 10 ** (-psnr[1] / 10) / (l2[1] / 100))
    if l1 and l2 and share:
        yield Finding(row, bin, "Cauchy-Schwarz", l1[0] / 100 / sqrt(share * l2[1] / 100))
    elif l1 and psnr and share:
        yield Finding(row, bin, "PSNR", l1[0] / 100 / (sqrt(share) * 10 ** (-psnr[0] / 20)))


def _share(bin: str) -> float | None:
    """The largest share of the picture that a hole of this bin takes, None if the bin's name does not tell."""
    if bin in ("fixed25", "center"):
        return 0.25
    low, dash, high = bin.partition("-")
    return float(high) if dash and low else None
