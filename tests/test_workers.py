"""A program that fails while a loader has worker processes ends at once, with one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trees

from inpaintlab.errors import UserError
from inpaintlab.utils.process import explain

KEEPS_ITS_LOADER = """
import multiprocessing, sys
from inpaintlab.data.workers import loader

def fail():
    global batches
    batches = iter(loader(range(1000), 2, batch_size=1))
    next(batches)
    raise RuntimeError("half-way")

if sys.argv[1] == "child":  # Python ends a child process in another way than a program
    child = multiprocessing.get_context("fork").Process(target=fail)
    child.start()
    child.join()
    sys.exit(child.exitcode)
fail()
"""


@pytest.mark.parametrize("where", ["program", "child"])
def test_a_program_that_fails_ends_with_its_workers(where: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(KEEPS_ITS_LOADER)
    command = [sys.executable, str(tmp_path / "program.py"), where]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)  # without the fix it waits for ever
    assert result.returncode == 1
    assert result.stderr.endswith("RuntimeError: half-way\n")


def test_an_error_in_a_worker_is_one_sentence(tmp_path: Path) -> None:
    for i in range(4):
        trees.picture(tmp_path / "pictures" / "test" / f"{i}.png", (64, 64))
        trees.picture(tmp_path / "pictures" / "train" / f"{i}.png", (64, 64))
    trees.picture(tmp_path / "masks" / "another.png", (64, 64), mode="L")
    options = [f"data.root={tmp_path / 'pictures'}", f"masks.root={tmp_path / 'masks'}", "data.pairing=same_name"]
    command = [sys.executable, "-m", "inpaintlab", "data", "pairs", "out.csv", "data=folder", "masks=nvidia_drawn"]
    command += [*options, "data.workers=1"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("error: expected one mask named ")
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out.csv").exists()


def test_the_message_of_a_worker_is_extracted() -> None:
    sentence = "no: such\npicture"
    there = f"Caught UserError in DataLoader worker process 0.\nOriginal Traceback:\n  x.UserError: {sentence}\n"
    printed = "no: such\\npicture"  # a line break of a name must not look like a second message
    assert explain(UserError(there)) == printed
    assert explain(UserError(sentence)) == printed
