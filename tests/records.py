"""Records as a training and an evaluation write them, with made-up content."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from inpaintlab.evaluation.results import EvaluationResults
from inpaintlab.training.record import FINISHED, Precision, Replaced, RunRecord
from inpaintlab.utils.provenance import Conditions

CONDITIONS = Conditions(
    date="2026-01-01 00:00 UTC",
    commit="0123456789",
    python="3.11",
    torch="2.8",
    lightning="2.5",
    albumentations="2.0",
    opencv="4.12",
    numpy="2.3",
    processor="x86_64",
    cores=2,
    threads=1,
)


def run_record(**changes: Any) -> RunRecord:
    """The record of a finished run."""
    record = RunRecord(
        state=FINISHED,
        name="msanet_places2_mum",
        scale="demo",
        seed=0,
        batches=400,
        remarks=[],
        parameters=1000,
        precision=Precision("32", channels_last=False, why="as configured"),
        compiled=False,
        device="cpu",
        test_masks_in_training=False,
        conditions=CONDITIONS,
        replaced=Replaced(samples=1600, failed=0, reasons={}),
    )
    return replace(record, **changes)


def evaluation_results(means: dict[str, dict[str, float]], **changes: Any) -> EvaluationResults:
    """The results of an evaluation."""
    results = EvaluationResults(
        folder=Path("nowhere"),
        means=means,
        pairs=60,
        pairs_digest="0" * 16,
        system="msanet",
        name="msanet_places2_mum",
        scale="demo",
        seed=0,
        batches=400,
        checkpoint="last.ckpt",
        weights="0" * 16,
        average=False,
        protocol="standard",
        split="test",
        size=128,
        pictures="Photos",
        test_masks_in_training=False,
        files="0" * 16,
        precision="32",
        conditions=CONDITIONS,
    )
    return replace(results, **changes)
