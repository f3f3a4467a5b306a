"""The record of a training, `run.json` in the folder of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from inpaintlab.utils import json_record
from inpaintlab.utils.provenance import Conditions

FILE = "run.json"
RUNNING, FINISHED = "running", "finished"


@dataclass(frozen=True)
class Precision:
    """How a run computes.

    Args:
        precision: "32" or "bf16-mixed", Lightning's names.
        channels_last: whether convolution weights and pictures are in that memory layout.
        why: one clause: as configured, or what the probe measured.
    """

    precision: str
    channels_last: bool
    why: str


@dataclass(frozen=True)
class Replaced:
    """Training samples that could not be read and were replaced by others.

    Args:
        samples: read or replaced, in all.
        failed: replaced.
        reasons: file and error -> how often.
    """

    samples: int
    failed: int
    reasons: dict[str, int]


@dataclass(frozen=True)
class RunRecord:
    """What a reader of results must know about a training beyond its config.

    Args:
        state: RUNNING (also of a run that was stopped) or FINISHED.
        name: of the experiment.
        scale: name of the scale.
        seed: of weights and data.
        batches: length of the whole training; 0 for authors' weights, which were not trained here.
        remarks: see `InpaintingModule.remarks`.
        parameters: of the generator.
        precision: as resolved for this machine.
        compiled: whether the generator was compiled.
        device: "cpu" or "cuda".
        test_masks_in_training: whether training masks are among the test masks; None if that is not known.
        conditions: when the last process of this run started.
        replaced: None until the run is finished.
    """

    state: str
    name: str
    scale: str
    seed: int
    batches: int
    remarks: list[str]
    parameters: int
    precision: Precision
    compiled: bool
    device: str
    test_masks_in_training: bool | None
    conditions: Conditions
    replaced: Replaced | None = None


def write(folder: Path, record: RunRecord) -> None:
    """Write the record of the run in `folder`."""
    json_record.write_record(folder / FILE, record)


def read(folder: Path) -> RunRecord | None:
    """The record of the run in `folder`, or None if no training started there.

    Raises:
        UserError: if the file is torn or is not a record.
    """
    path = folder / FILE
    if not path.exists():
        return None
    remedy = "remove it and start the same run again, which continues from its last checkpoint"
    return json_record.read_record(RunRecord, path, remedy)


def finished_run(folder: Path) -> RunRecord | None:
    """The record of the run in `folder` if it is finished, otherwise None.

    Raises:
        UserError: see `read`.
    """
    record = read(folder)
    return record if record is not None and record.state == FINISHED else None
