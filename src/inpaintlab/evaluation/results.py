"""Write and read the results folder of an evaluation."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from inpaintlab.data.pairs import digest, read_manifest, write_manifest
from inpaintlab.errors import UserError
from inpaintlab.utils.atomic_write import replacing, require_writable, write_text

if TYPE_CHECKING:
    from inpaintlab.evaluation.evaluator import Evaluation


def read_results(folder: Path, manifest: str | None = None) -> dict[str, Any] | None:
    """The content of a finished evaluation's `metrics.json`, with its folder under "folder"; None if there is none.

    Args:
        manifest: a file of the pairs that must have been evaluated; None takes any.

    Raises:
        FileNotFoundError, UserError: if there is no such manifest, or it names other pairs.
    """
    path = folder / "metrics.json"
    if not path.exists():
        return None
    summary = json.loads(path.read_text()) | {"folder": str(folder)}
    if manifest is not None:
        named = digest(read_manifest(manifest))
        if named != summary["pairs_digest"]:
            raise UserError(
                f"{manifest} names other pairs ({named}) than those evaluated in {folder} "
                f"({summary['pairs_digest']}): give another data.manifest, or remove that folder to evaluate again"
            )
    return summary


def write_results(folder: Path, evaluation: Evaluation, conditions: dict[str, Any]) -> None:
    """Write the folder; `metrics.json` comes last, so that its presence says that all is there."""
    require_writable(folder)
    write_manifest(folder / "pairs.csv", evaluation.pairs)
    rows = [
        {"picture": p.picture, "bin": p.bin, "hole_share": p.hole_share, **values}
        for p, values in zip(evaluation.pairs, evaluation.rows, strict=True)
    ]
    write_text(folder / "per_picture.csv", _csv(rows))
    for number, (truth, hole, result) in evaluation.kept.items():
        for kind, picture in (("truth", truth), ("hole", hole * np.uint8(255)), ("result", result)):
            with replacing(folder / "pictures" / f"{number:06d}-{kind}.png") as temporary:
                Image.fromarray(picture).save(temporary)
    summary = {"means": evaluation.means(), "pairs": len(rows), "pairs_digest": digest(evaluation.pairs), **conditions}
    write_text(folder / "metrics.json", json.dumps(summary, indent=1) + "\n")


def _csv(rows: Iterable[dict[str, Any]]) -> str:
    rows = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.6f}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    return text.getvalue()
