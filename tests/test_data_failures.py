"""A picture that fails during training is named, counted and replaced by one that (seed, epoch, index) determine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from inpaintlab.config.run_folder import run_folder
from inpaintlab.data.datamodule import InpaintingData
from inpaintlab.data.datasets.folder import Folder
from inpaintlab.data.failures import Failures
from inpaintlab.data.files.images import BadPicture
from inpaintlab.data.geometry import Geometry
from inpaintlab.data.holes.free_form import FreeForm
from inpaintlab.data.holes.raw_masks import RawMasks
from inpaintlab.errors import UserError
from inpaintlab.training.run import run_training


def module(folder: Path, **options: Any) -> InpaintingData:
    defaults: dict[str, Any] = {
        "pictures": Folder(folder, scan_limit=0), "geometry": Geometry(32), "train_holes": FreeForm(),
        "test_holes": FreeForm(), "batch_size": 4, "batches": 6, "workers": 0,
    }  # fmt: skip
    return InpaintingData(**(defaults | options))


def spoil(folder: Path, *names: str) -> None:
    for name in names:
        (folder / "train" / f"{name}.png").write_bytes(b"torn")


def test_the_next_picture_replaces_a_broken_one_with_any_number_of_workers(folder: Path) -> None:
    sound = list(module(folder).stream())
    spoil(folder, "2", "3")
    batches = list(module(folder).stream())
    for other in (module(folder, workers=1), module(folder, workers=2)):
        for a, b in zip(batches, other.stream(), strict=True):
            assert torch.equal(a["image"], b["image"])
            assert torch.equal(a["hole"], b["hole"])
            assert a["failed"] == b["failed"]
    for before, after in zip(sound, batches, strict=True):
        for i, name in enumerate(before["name"]):
            failed = after["failed"][i].split("\n") if after["failed"][i] else []
            if name in ("train/2.png", "train/3.png"):
                assert after["name"][i] not in ("train/2.png", "train/3.png")
                if name == "train/3.png":
                    assert after["name"][i] == "train/4.png"
                assert len(failed) == 1 if name == "train/3.png" else len(failed) >= 2
                assert all("does not decode" in reason for reason in failed)
            else:  # untouched
                assert torch.equal(before["image"][i], after["image"][i])
                assert not failed
    data = module(folder).train_set()
    assert not torch.equal(data[0, 2, 0]["hole"], data[0, 4, 0]["hole"])  # the replacement is another view
    assert not torch.equal(data[0, 2, 0]["hole"], data[1, 2, 0]["hole"])


def test_missing_files_and_torn_masks_count_too(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    for i in range(3):
        line = np.full((32, 32), 255, np.uint8)
        line[8 * i : 8 * i + 6, 4:30] = 0
        Image.fromarray(line).save(tmp_path / "m" / f"{i}.png")
    masks = RawMasks(tmp_path / "m", dilation=(1, 3), shift=0.1)
    data = module(folder, train_holes=masks)
    data.train_set()
    (folder / "train" / "1.png").unlink()
    (tmp_path / "m" / "1.png").write_bytes(b"torn")
    reasons = "\n".join(reason for raw in data.stream() for reason in raw["failed"])
    assert "no such picture" in reasons
    assert "1.png: does not decode" in reasons


def test_no_readable_picture_is_an_error(folder: Path) -> None:
    spoil(folder, *"012345")
    with pytest.raises(BadPicture, match="all 64 attempts to read a training sample failed:") as error:
        module(folder).train_set()[0, 0, 0]
    assert len(str(error.value).splitlines()) == 1 + 6  # each file once


def test_more_than_the_share_stops(capsys: pytest.CaptureFixture[str]) -> None:
    counted = Failures(0.05)
    for i in range(10):
        counted.add([f"a{i}.jpg: torn"] + 7 * [""])  # ten failures never stop a run
    with pytest.raises(UserError, match=r"11 of 88 samples .*\n(.|\n)*more than data.max_failed=0.05 allows"):
        counted.add(["a0.jpg: torn"] + 7 * [""])
    assert capsys.readouterr().err.count("replaced in the training: ") == 10
    patient = Failures(0.05)
    for _ in range(100):
        patient.add(["a.jpg: torn\nb.jpg: gone"] + 31 * [""])
    assert patient.summary().splitlines() == [
        "100 of 3200 samples could not be read and were replaced by others:",
        "  a.jpg: torn (100 times)", "  b.jpg: gone (100 times)",
    ]  # fmt: skip
    again = Failures(0.05)
    again.restore(json.loads(json.dumps(patient.state())))
    assert again.summary() == patient.summary()
    assert Failures(0.0).summary() == ""


def test_a_run_ends_with_a_summary_and_goes_on_counting(
    compose: Callable[..., Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = compose("data.pictures.scan_limit=0", "batches=6")
    stop = compose("data.pictures.scan_limit=0", "batches=6", "data.max_failed=0.0")
    spoil(folder, "1")
    out = run_training(config)
    printed = capsys.readouterr()
    assert "replaced in the training: " in printed.err
    assert "2 of 12 samples could not be read and were replaced by others:" in printed.out
    record = json.loads((out / "run.json").read_text())
    assert record["replaced"]["failed"] == 2
    assert record["test_masks_in_training"] is False
    checkpoint = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["InpaintingData"]["failed"] == 2
    assert run_folder(stop) == run_folder(config)  # the limit of failures is not part of a run's name
