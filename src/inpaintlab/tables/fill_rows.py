"""The fills without training, as rows below those of a table: measured on the same pairs by the same protocol.

They show what a number is worth: a row that is not above them has not learnt to inpaint.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from inpaintlab.config.compose import compose_config
from inpaintlab.config.plain import to_plain
from inpaintlab.config.run_folder import evaluation_key
from inpaintlab.errors import UserError
from inpaintlab.evaluation.results import EvaluationResults, read_results
from inpaintlab.evaluation.subject import Untrained, untrained
from inpaintlab.networks.fills import FILLS, TITLES
from inpaintlab.tables.measure import ask_for_metrics
from inpaintlab.tables.results import Measured, fill
from inpaintlab.tables.spec import Table
from inpaintlab.utils.device import resolve_device
from inpaintlab.utils.process import explain


def measure_fills(
    table: Table, scale: str, overrides: Sequence[str], results: Mapping[str, Measured], *, evaluate: bool = True
) -> dict[str, Measured]:
    """Measure every fill on the pairs of the table, by label; {} for a table without rows measured on pictures.

    A fill that fails says why and leaves the others alone. Its evaluation is kept below `<output>/fills`, and tables
    with the same pairs and protocol share it. It has no seed: its values stand for every seed of the rows.

    Args:
        scale, overrides: of the rows.
        results: of the rows.
        evaluate: whether to evaluate what is missing; otherwise only fills with existing results are returned.
    """
    rows = [summary for result in results.values() for summary in result.summaries.values()]
    if table.kind != "comparison" or not rows or not table.experiments:
        return {}
    config = compose_config(
        [f"experiment={table.experiments[0]}", f"masks={table.masks}", f"scale={scale}", *overrides]
    )
    absent = ask_for_metrics(table, [config])
    config.evaluation.seconds, config.evaluation.average = True, False
    test = to_plain(config)
    seeds = dict.fromkeys(seed for result in results.values() for seed in result.summaries)
    found = {}
    for name in FILLS:
        measured = Measured(absent=absent)
        try:
            summary = _evaluation(untrained(name), test, rows[0], evaluate)
            if summary is None:
                continue
            measured.summaries = dict.fromkeys(seeds, summary)
            fill(measured, TITLES[name])
        except Exception as error:
            sentence = explain(error)
            if sentence is None:
                raise
            measured = Measured(missing=sentence)
            print(f"{TITLES[name]}: not available: {sentence}", file=sys.stderr)
        found[TITLES[name]] = measured
    return found


def _evaluation(
    subject: Untrained, test: dict[str, Any], of_row: EvaluationResults, evaluate: bool
) -> EvaluationResults | None:
    """The results of a fill on the pairs of a row; None if there are none and `evaluate` is False."""
    from inpaintlab.evaluation.run import evaluate_subject

    folder = subject.folder(test["output"])
    known = read_results(folder / f"evaluation-{evaluation_key(test)}")
    if known is not None and known.pairs_digest == of_row.pairs_digest and known.weights == subject.digest():
        return known
    if not evaluate:
        return None
    device = resolve_device(test["trainer"]["accelerator"])
    label = f"{subject.generator.title}, no training, evaluating"
    found = evaluate_subject(subject, test, folder, device=device, label=label, same_files=True)
    if found.pairs_digest != of_row.pairs_digest:
        raise UserError(
            f"the pictures or masks have changed since the rows were evaluated (pairs {of_row.pairs_digest}, now "
            f"{found.pairs_digest}); remove the rows' evaluation-* folders to evaluate them again"
        )
    return found
