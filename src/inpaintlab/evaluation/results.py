"""The folder of an evaluation, written and read.

A finished evaluation is a folder with `metrics.json` (`EvaluationResults`), `per_picture.csv` (`PictureRow`),
`pairs.csv` (the manifest) and some pictures.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from inpaintlab.config.run_folder import evaluation_key
from inpaintlab.data.pairs import ENCODING_ERRORS, digest, read_manifest, write_manifest
from inpaintlab.errors import UserError
from inpaintlab.utils import json_record
from inpaintlab.utils.atomic_write import replacing, require_writable
from inpaintlab.utils.provenance import Conditions

if TYPE_CHECKING:
    from inpaintlab.evaluation.evaluator import Evaluation, Kept

FILE, PER_PICTURE, MANIFEST = "metrics.json", "per_picture.csv", "pairs.csv"
AGAIN = "remove that folder to evaluate again"
PLACE = ("picture", "bin", "hole_share")  # the columns of `per_picture.csv` that are not metrics


@dataclass(frozen=True)
class EvaluationResults:
    """The numbers of an evaluation and the conditions under which they were measured; the content of `metrics.json`.

    Args:
        folder: that holds the files; not written.
        means: bin, or "all" -> metric -> value; see `Evaluation.means`.
        pairs: number of pairs of picture and hole.
        pairs_digest: equal for equal pictures and holes in the same order.
        system, name, scale, seed: of the training.
            A fill without training has its own name as `system` and `name`, no scale, and the seed 0.
        batches: length of the training; 0 for authors' weights and for a fill.
        checkpoint: name of the file; "" for a fill.
        weights: digest of the generator's weights, or of the fill's name and implementation.
        average: whether these are averaged weights.
        protocol: name of the metric protocol, or of several.
        split: "test", "val" or "train".
        size: of the pictures, in pixels.
        pictures: class of the picture source.
        test_masks_in_training: whether test masks were seen in training; None if that is not known.
        files: digest of names, sizes and times of the picture and mask files.
        precision: of the evaluation, always "32".
        conditions: when and where the evaluation ran.
        networks: option of `weights`, "inception" for example -> where its weights come from; those in use only.
        timed_on: processor or GPU, if the seconds per picture were measured.
    """

    folder: Path
    means: dict[str, dict[str, float]]
    pairs: int
    pairs_digest: str
    system: str
    name: str
    scale: str
    seed: int
    batches: int
    checkpoint: str
    weights: str
    average: bool
    protocol: str | list[str]
    split: str
    size: int
    pictures: str
    test_masks_in_training: bool | None
    files: str
    precision: str
    conditions: Conditions
    networks: dict[str, str] = field(default_factory=dict)
    timed_on: str | None = None

    @property
    def protocols(self) -> list[str]:
        """The names of all protocols."""
        return [self.protocol] if isinstance(self.protocol, str) else self.protocol


@dataclass(frozen=True)
class PictureRow:
    """One line of `per_picture.csv`.

    Args:
        picture: its name.
        bin: of the hole.
        hole_share: of the picture's area, in [0, 1].
        values: metric -> value, rounded to 6 decimals.
    """

    picture: str
    bin: str
    hole_share: float
    values: dict[str, float]


def read_results(folder: Path, manifest: str | None = None) -> EvaluationResults | None:
    """The results of a finished evaluation, or None if there are none.

    Args:
        manifest: a file of the pairs that must have been evaluated; None accepts any.

    Raises:
        FileNotFoundError: if there is no such manifest.
        UserError: if the manifest names other pairs, or `metrics.json` is torn or foreign.
    """
    path = folder / FILE
    if not path.exists():
        return None
    results = json_record.read_record(EvaluationResults, path, AGAIN, folder=folder)
    if manifest is not None:
        named = digest(read_manifest(manifest))
        if named != results.pairs_digest:
            raise UserError(
                f"{manifest} names other pairs ({named}) than those evaluated in {folder} "
                f"({results.pairs_digest}): give another data.manifest, or {AGAIN}"
            )
    return results


def finished_evaluation(config: dict[str, Any], folder: Path) -> EvaluationResults | None:
    """The results of the evaluation that belongs to a run's config, or None if it is not done.

    Args:
        config: of the run, plain.
        folder: of the run.

    Raises:
        FileNotFoundError, UserError: see `read_results`.
    """
    return read_results(folder / f"evaluation-{evaluation_key(config)}", config["data"].get("manifest"))


def read_per_picture(results: EvaluationResults) -> list[PictureRow]:
    """The metrics of every pair of an evaluation, in the order of the pairs.

    Raises:
        UserError: if `per_picture.csv` is missing, torn or foreign.
    """
    path = results.folder / PER_PICTURE
    try:
        with path.open(encoding="utf-8", errors=ENCODING_ERRORS, newline="") as file:
            rows = [_picture_row(line) for line in csv.DictReader(file)]
    except (FileNotFoundError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a table of metrics ({error!r}); {AGAIN}") from None
    if len(rows) != results.pairs:
        raise UserError(f"{path} has {len(rows)} lines for {results.pairs} pairs; {AGAIN}")
    return rows


def _picture_row(line: dict[str, str]) -> PictureRow:
    values = {name: float(value) for name, value in line.items() if name not in PLACE}
    return PictureRow(line["picture"], line["bin"], float(line["hole_share"]), values)


def write_results(results: EvaluationResults, evaluation: Evaluation) -> None:
    """Write the folder; `metrics.json` comes last, so its presence means that the evaluation is complete."""
    folder = require_writable(results.folder, below=results.folder.parent)
    write_manifest(folder / MANIFEST, evaluation.pairs)
    _write_per_picture(
        folder / PER_PICTURE,
        [
            PictureRow(pair.picture, pair.bin, pair.hole_share, values)
            for pair, values in zip(evaluation.pairs, evaluation.rows, strict=True)
        ],
    )
    for number, kept in evaluation.kept.items():
        _write_pictures(folder / "pictures", number, kept)
    json_record.write_record(folder / FILE, results, leave_out=("folder",))


def _write_per_picture(path: Path, rows: Iterable[PictureRow]) -> None:
    rows = list(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*PLACE, *rows[0].values])
    for row in rows:
        numbers = (f"{number:.6f}" for number in (row.hole_share, *row.values.values()))
        writer.writerow([row.picture, row.bin, *numbers])
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", errors=ENCODING_ERRORS)


def _write_pictures(folder: Path, number: int, kept: Kept) -> None:
    truth, hole, result = kept
    for kind, picture in (("truth", truth), ("hole", hole * np.uint8(255)), ("result", result)):
        with replacing(folder / f"{number:06d}-{kind}.png") as temporary:
            Image.fromarray(picture).save(temporary)
