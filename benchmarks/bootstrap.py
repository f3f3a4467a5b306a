"""Time and memory of all confidence intervals of a large table, beside one plain bootstrap per interval.

The table has as many pictures as the validation set of Places2, and the rows and columns of the largest table here.
Every row is compared with the reference in every column, and the chart needs the mean of every row in every bin. The
plain form would need 2.9 GB for each of its two (draws, pictures) arrays. It runs with a share of the draws instead;
its time is scaled up, and the intervals of both forms are compared with that share. One process, one thread.
`--publish` puts the table into the pages.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inpaintlab.evaluation.results import EvaluationResults
from inpaintlab.tables import cells, figures
from inpaintlab.tables.bootstrap import DRAWS, Difference, intervals
from inpaintlab.tables.differences import compute
from inpaintlab.tables.publish import report
from inpaintlab.tables.results import Measured
from inpaintlab.tables.spec import Metric, Row, Table
from inpaintlab.utils.provenance import conditions

PICTURES, ROWS = 36_500, 13
BINS = ("0.01-0.1", "0.1-0.2", "0.2-0.3", "0.3-0.4", "0.4-0.5", "0.5-0.6")
METRICS = (Metric("psnr", "PSNR", 2, "dB"), Metric("ssim", "SSIM", 3))
SHARE = 20  # the plain form runs with one draw in so many
ALIKE = 1e-12  # largest difference between the intervals of both forms


def plain(difference: NDArray[np.float64], draws: int) -> Difference:
    """Bootstrap one array (seeds, pictures) with all weights in memory."""
    seeds, pictures = difference.shape
    rng = np.random.default_rng(0)
    of_pictures = rng.multinomial(pictures, np.full(pictures, 1 / pictures), draws) / pictures
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds
    means = ((of_seeds @ difference) * of_pictures).sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Difference(float(difference.mean()), float(low), float(high))


def evaluation() -> EvaluationResults:
    """The part of a result that is not bootstrapped, without content."""
    return EvaluationResults(
        folder=Path(),
        means={},
        pairs=PICTURES * len(BINS),
        pairs_digest="",
        system="",
        name="",
        scale="paper",
        seed=0,
        batches=0,
        checkpoint="",
        weights="",
        average=False,
        protocol="standard",
        split="val",
        size=256,
        pictures="",
        test_masks_in_training=False,
        files="",
        precision="32",
        conditions=conditions(),
    )


def invent(rng: np.random.Generator) -> tuple[Table, dict[str, Measured]]:
    """A table and results that share the difficulty of their pictures, as real ones do."""
    labels = [f"row {number}" for number in range(ROWS)]
    table = Table("x.table1", "t", "s", tuple(map(Row, labels)), METRICS, (*BINS, "all"), reference=labels[0])
    shape = (1, PICTURES, len(BINS))
    shared = rng.normal(25, 3, shape)
    results = {}
    for number, label in enumerate(labels):
        values = {metric.key: shared + rng.normal(0.01 * number, 0.5, shape) for metric in METRICS}
        results[label] = Measured({0: evaluation()}, values, BINS)
    return table, results


def peak() -> float:
    """The largest resident memory of this process so far, in GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def largest_gap(ones: Sequence[Difference], others: Sequence[Difference]) -> float:
    """The largest difference between any two numbers of two lists of intervals."""
    numbers = [np.array([(one.mean, one.low, one.high) for one in found]) for found in (ones, others)]
    return float(np.abs(numbers[0] - numbers[1]).max())


def main() -> None:
    """Measure, compare, print; put the table into the pages if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--publish", action="store_true", help="put the table into the pages")
    options = parser.parse_args()
    table, results = invent(np.random.default_rng(0))
    wanted = [*cells.comparisons(table), *figures.comparisons(results)]
    before = peak()

    start = time.process_time()
    differences = compute(results, wanted)
    ours, memory = time.process_time() - start, peak()

    from inpaintlab.tables import (
        csv_format,
        text_formats,
    )  # not earlier: these import Lightning, whose memory would be counted
    from inpaintlab.tables.report import Report

    start = time.process_time()
    shown = Report(table, results, "paper", differences, cells.cells(table, results, differences), [], [])
    for form in (text_formats.markdown, text_formats.latex, csv_format.as_csv):
        form(shown)
    rendering = time.process_time() - start

    base, *rows = (result.values["psnr"][:, :, 0] for result in list(results.values())[:3])
    start = time.process_time()
    theirs = [plain(row - base, DRAWS // SHARE) for row in rows]
    each = SHARE * (time.process_time() - start) / len(rows)
    gap = largest_gap(theirs, intervals([row - base for row in rows], DRAWS // SHARE))
    if gap > ALIKE:
        raise SystemExit(f"the intervals differ by {gap:.1e}; at most {ALIKE:.0e} is expected")

    array = DRAWS * PICTURES * 8 / 1e9
    lines = [
        "| 36 500 pictures, 13 rows, 14 columns | one plain bootstrap per interval | ours | plain / ours |",
        "|---|---:|---:|---:|",
        f"| all {len(differences)} intervals, s | {each * len(differences):.0f} | {ours:.0f} "
        f"| {each * len(differences) / ours:.0f} |",
        f"| memory, GB | {2 * array:.1f} | {memory - before:.2f} | {2 * array / (memory - before):.0f} |",
        "",
        f"Process CPU time, one thread, {DRAWS} draws. The plain form ran with one draw in {SHARE} for {len(rows)} "
        f"intervals, {each:.0f} s for each when scaled up; its memory is that of its two (draws, pictures) arrays. "
        f"Ours is the growth of the process; its peak was {memory:.2f} GB, with libraries and results. The intervals "
        f"of both differ by at most {gap:.0e}. Rendering as Markdown, LaTeX and CSV took {rendering:.3f} s more.",
    ]
    report("bench bootstrap", "\n".join(lines), publish=options.publish)


if __name__ == "__main__":
    main()
