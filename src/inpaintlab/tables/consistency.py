"""Inequalities that numbers of one table must satisfy; they tell definitions apart without any picture.

For means over pictures of errors of values in [0, 1]: L2 >= 10^(-PSNR/10), by Jensen's inequality, and, if the errors
lie in a hole of the share h, L1 <= sqrt(h L2), by that of Cauchy and Schwarz.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

from inpaintlab.tables.results import Measured
from inpaintlab.tables.spec import Table

# Protocols of such errors. Those of "deepfill" are taken over the hole, so h is 1; otherwise the bin tells h.
PLAIN = {"standard": None, "deepfill": 1.0}
LIFT = 1.1  # how far above sqrt(h) 10^(-PSNR/20) the L1 of usual pictures comes, whose PSNR differ by 2 to 3 dB
KEYS = ("psnr", "l1_pct", "l2_pct")


@dataclass(frozen=True)
class Finding:
    """A check of one row: the quotient of what should be smaller to what should be larger.

    Args:
        law: "Jensen", "Cauchy-Schwarz", or "PSNR" for the check of L1 where no L2 is given.
        quotient: above 1 the numbers contradict each other.
    """

    row: str
    bin: str
    law: str
    quotient: float


def check(table: Table, results: dict[str, Measured]) -> list[str]:
    """One sentence for what contradicts itself, or for how much was looked at; none if nothing can be checked."""
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
    """Checks of the published numbers, each anywhere within its rounding."""
    half = {metric.key: 0.5 * 10**-metric.decimals for metric in table.metrics}
    for row in table.rows:
        for bin in table.bins:
            numbers = {key: values[bin] for key, values in row.published.items() if values[bin] is not None}
            ranges = {key: (number - half[key], number + half[key]) for key, number in numbers.items()}
            yield from _checks(f"{row.label} (printed)", bin, PLAIN[table.protocol] or _share(bin), ranges)


def measured(table: Table, results: dict[str, Measured]) -> Iterator[Finding]:
    """Checks of our numbers."""
    for label, result in results.items():
        for bin in dict.fromkeys((*table.bins, *result.bins)):
            numbers = {key: result.mean(key, bin) for key in KEYS}
            ranges = {key: (number, number) for key, number in numbers.items() if number is not None}
            yield from _checks(f"{label} (measured)", bin, PLAIN[table.protocol] or _share(bin), ranges)


def _checks(row: str, bin: str, share: float | None, ranges: dict[str, tuple[float, float]]) -> Iterator[Finding]:
    """What can be checked of one cell; `ranges` gives the least and the largest value of each metric."""
    psnr, l1, l2 = (ranges.get(key) for key in KEYS)
    if psnr and l2:
        yield Finding(row, bin, "Jensen", 10 ** (-psnr[1] / 10) / (l2[1] / 100))
    if l1 and l2 and share:
        yield Finding(row, bin, "Cauchy-Schwarz", l1[0] / 100 / sqrt(share * l2[1] / 100))
    elif l1 and psnr and share:
        yield Finding(row, bin, "PSNR", l1[0] / 100 / (sqrt(share) * 10 ** (-psnr[0] / 20)))


def _share(bin: str) -> float | None:
    """The largest share of the picture that a hole of this bin takes, if the bin's name says it."""
    if bin in ("fixed25", "center"):
        return 0.25
    low, dash, high = bin.partition("-")
    return float(high) if dash and low else None
