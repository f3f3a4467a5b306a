"""The footnotes of a table: the conditions under which its numbers were measured, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from inpaintlab.evaluation.evaluator import TIMED
from inpaintlab.evaluation.results import EvaluationResults
from inpaintlab.metrics import protocols
from inpaintlab.metrics.fid import ENOUGH
from inpaintlab.networks.fills import FILLS
from inpaintlab.tables import consistency
from inpaintlab.tables.above import TRIVIAL
from inpaintlab.tables.claims import SEEDS
from inpaintlab.tables.results import AUTHORS, NO_TRAINING, Measured
from inpaintlab.tables.spec import LPIPS, OF_SETS, SECONDS, TRAINING_SECONDS, Table
from inpaintlab.training.record import RunRecord

BY_NETWORK = {  # label and definition of the metrics that need a network
    "fid": ("FID", "Inception v3 of torch-fidelity"),
    "fid_torchvision": ("FID (torchvision's network)", "Inception v3 of torchvision, as in EdgeConnect's script"),
    LPIPS: ("LPIPS", "version 0.1 with AlexNet, composite rounded to 8 bit"),
}


def footnotes(
    table: Table,
    results: dict[str, Measured],
    scale: str,
    overrides: Sequence[str] = (),
    *,
    comparable: bool = False,
    fills: Mapping[str, Measured] | None = None,
) -> list[str]:
    """Return one sentence for each condition of the measurement and for each row without numbers.

    Args:
        overrides: what was changed from the configs.
        comparable: see `cells.is_comparable`.
        fills: by label; see `fill_rows.measure_fills`.
    """
    measured = [result for result in results.values() if result.summaries]
    lines: list[str] = []
    if measured:
        lines += _scale(table, scale, overrides, comparable)
        lines += _origins(results)
        lines += _shared(results)
        lines += _runs(table, results, measured)
    if table.reference and measured:
        lines.append(
            "Against the reference: mean paired difference over pictures and its 95 % bootstrap interval over pictures "
            "and seeds, in bold where it leaves out zero. A single seed does not show how much training varies."
        )
    lines += _fills(table, fills or {})
    if table.claims and measured:
        lines.append(
            f"A claim is judged only with at least {SEEDS} seeds, and if all its rows are above "
            f"{' and '.join(TRIVIAL)} in the claim's metric."
        )
    if table.kind == "parameters":
        lines.append("Counted from the networks of this repository: weights without biases, K = 1000.")
    lines += _missing(table, results)
    lines += consistency.check(table, results)
    return [*lines, *table.notes, *(f"{row.label}: {row.note}" for row in table.rows if row.note)]


def _scale(table: Table, scale: str, overrides: Sequence[str], comparable: bool) -> list[str]:
    lines = [f"Scale `{scale}`."]
    if scale == "demo":
        lines = [
            "Scale `demo`: a few hundred small batches of embedded photographs, which also give the test regions. "
            "They say nothing about published numbers, so no difference is printed; rows may be compared with each "
            "other."
        ]
    changed = [override for override in overrides if not override.startswith("output=")]
    if changed:
        lines.append(f"Changed: `{' '.join(changed)}`.")
    return [*lines, _verdicts(table)] if comparable else lines


def _runs(table: Table, results: dict[str, Measured], measured: Sequence[Measured]) -> list[str]:
    """How the rows were trained and evaluated."""
    runs = [result.record for result in measured if result.record]
    tests = [summary for result in measured for summary in result.summaries.values()]
    first = tests[0]
    seeds = sorted({seed for result in measured for seed in result.summaries})
    lines = [
        f"Training: {_all(run.batches for run in runs)} batches, {first.size} px, seed "
        f"{', '.join(map(str, seeds))}, precision {_all(run.precision.precision for run in runs)} on "
        f"{_all(_device(run) for run in runs)}.",
        f"Evaluation: {first.pairs} pairs of picture and hole, the same for all rows (digest "
        f"{first.pairs_digest}), {first.pictures}, holes `{table.masks}`, float32; `all` is the mean over "
        "the bins.",
    ]
    named = [table.protocols] if isinstance(table.protocols, str) else table.protocols
    lines += [f"Protocol `{name}`: {protocols.find(name).description}." for name in named]
    seen = {test.test_masks_in_training for test in tests}
    if seen != {False}:
        answer = _all({True: "yes", False: "no", None: "not known"}[value] for value in seen)
        lines.append(f"Masks of the test set seen in training: {answer}.")
    lines += [_by_network(metric, name, tests, measured) for metric, name in table.networks.items()]
    lines += _times(table, tests)
    lines += _remarks(results)
    commits = _all([*(run.conditions.commit for run in runs), *(test.conditions.commit for test in tests)])
    return [*lines, f"Commit {commits}, {_dates(tests)}."]


def _times(table: Table, tests: Sequence[EvaluationResults]) -> list[str]:
    """How the times per picture were measured, for the tables that show them."""
    shown, lines = {metric.key for metric in table.metrics}, []
    if SECONDS in shown:
        threads = _all(f"{test.conditions.threads}" for test in tests)
        where = _all(test.timed_on for test in tests)
        lines.append(f"Seconds: one picture at a time, float32, {where}, {threads} thread(s), median of {TIMED}.")
    if TRAINING_SECONDS in shown:
        lines.append("Training time: per picture of a batch, waiting for data included, median over the log.")
    return lines


def _missing(table: Table, results: dict[str, Measured]) -> list[str]:
    """The rows without numbers, and why."""
    lines = [f"{label}: not available: {result.missing}" for label, result in results.items() if result.missing]
    unmeasured = [row for row in table.rows if not results[row.label].summaries]
    quoted = [row.label for row in unmeasured if not row.experiment and not row.block]
    waiting = [row.label for row in unmeasured if row.experiment and not results[row.label].missing]
    if waiting:
        lines.append(f"Not measured yet: {'; '.join(waiting)}.")
    if quoted:
        lines.append(f"Quoted only, not measured here: {'; '.join(quoted)}.")
    return lines


def _verdicts(table: Table) -> str:
    tolerances = ", ".join(
        f"{metric.label} {metric.within:g}{' ' + metric.unit if metric.unit else ''}" for metric in table.metrics
    )
    return f"`as published` means within {tolerances}; beyond that a number is `better` or `worse`."


def _device(run: RunRecord) -> str:
    """The device; a CPU with its number of threads, which sets the order of sums and so changes a training."""
    threads = run.conditions.threads
    return f"{run.device}, {threads} thread{'s' * (threads > 1)}" if run.device == "cpu" else run.device


def _origins(results: dict[str, Measured]) -> list[str]:
    """The rows that evaluate the authors' weights."""
    theirs = [label for label, result in results.items() if result.origin == AUTHORS]
    return [f"Not trained here, the authors' weights evaluated: {'; '.join(theirs)}."] if theirs else []


def _shared(results: Mapping[str, Measured]) -> list[str]:
    """The rows that share a training: which row trained it."""
    groups: dict[str, list[str]] = {}
    for label, result in results.items():
        if result.same_as and result.summaries:
            groups.setdefault(result.same_as, []).append(label)
    return [
        f"One training: {'; '.join([first, *labels])}. Their configs are equal at this scale but for their names, so "
        "these rows compare nothing."
        for first, labels in groups.items()
    ]


def _fills(table: Table, fills: Mapping[str, Measured]) -> list[str]:
    """What the rows without training are, how they are read, and the time that they take."""
    known = {label: measured.first for label, measured in fills.items() if measured.first is not None}
    lines = [f"{label}: not available: {measured.missing}" for label, measured in fills.items() if measured.missing]
    if not known:
        return lines
    ways = "; ".join(f"{fill.title}, {fill.source}" for fill in FILLS.values() if fill.title in known)
    lines += [
        f"Rows under `{NO_TRAINING}`, measured on the same pairs: {ways}.",
        "`above` names the best of them that a row is better than, by the mean over all pairs. PSNR favours smooth "
        "fills: published adversarial systems, too, lie near or below harmonic, so read it beside SSIM and the "
        "pictures.",
    ]
    if SECONDS not in {metric.key for metric in table.metrics}:
        times = ", ".join(f"{label} {results.means['all'][SECONDS]:.2g}" for label, results in known.items())
        tests = list(known.values())
        threads = _all(f"{test.conditions.threads}" for test in tests)
        where = _all(test.timed_on for test in tests)
        lines.append(
            f"Seconds per picture without training, one at a time, {where}, {threads} thread(s), median of {TIMED}: "
            f"{times}."
        )
    return lines


def _by_network(metric: str, name: str, tests: Sequence[EvaluationResults], measured: Sequence[Measured]) -> str:
    """The network and the number of pictures of a metric, or why it is missing."""
    label, way = BY_NETWORK[metric]
    if metric in measured[0].absent:
        return f"{label}: not available: {measured[0].absent[metric]}"
    text = f"{label}: {way}, {_all(test.networks[name] for test in tests)}"
    count = tests[0].pairs // (len(tests[0].means) - 1)
    if metric in OF_SETS:
        text += f", n = {count} per bin; `all` is that of all pairs"
    text += "."
    if any("untrained" in test.networks[name] for test in tests):
        text += f" AN UNTRAINED NETWORK: these numbers are no {label} and can be compared with no other table."
    if metric in OF_SETS and count < ENOUGH:
        text += f" With fewer than {ENOUGH} pictures FID is biased upwards: only for ranking rows of this table."
    return text


def _remarks(results: dict[str, Measured]) -> list[str]:
    """Each remark once, with the rows that it applies to."""
    rows: dict[str, list[str]] = {}
    for label, result in results.items():
        for remark in result.remarks:
            rows.setdefault(remark, []).append(label)
    measured = [label for label, result in results.items() if result.summaries]
    return [f"{'All measured rows' if of == measured else ', '.join(of)}: {remark}." for remark, of in rows.items()]


def _all(values: Iterable[object]) -> str:
    """The values, each once."""
    return " / ".join(dict.fromkeys(map(str, values)))


def _dates(tests: Iterable[EvaluationResults]) -> str:
    dates = sorted(test.conditions.date[:10] for test in tests)
    return dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
