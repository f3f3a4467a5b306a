"""The commands answer at once, without importing what is slow, and unknown ones get the nearest name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from inpaintlab import cli

HEAVY = ("torch", "lightning", "albumentations", "torchmetrics", "torchvision", "wandb", "cv2", "skimage", "matplotlib")
PROBE = """
import runpy, sys
try:
    runpy.run_module("inpaintlab", run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code, end.code
loaded = [name for name in {heavy!r} if name in sys.modules]
assert not loaded, loaded
"""


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inpaintlab", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in cli.COMMANDS), ["table", "--list"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = f"import sys; sys.argv[1:] = {arguments!r}\n" + PROBE.format(heavy=HEAVY)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout) > 100


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_composing_a_config_loads_nothing_heavy(command: str) -> None:
    code = f"import sys; sys.argv[1:] = [{command!r}, '--cfg', 'job', '--package', 'evaluation']\n"
    code += PROBE.format(heavy=HEAVY)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "protocol: standard" in result.stdout


def test_modules_of_commands_are_no_second_way_in() -> None:
    for module, _ in cli.COMMANDS.values():
        assert "__main__" not in (Path(cli.__file__).parent / "commands" / f"{module}.py").read_text()


def test_unknown_command_gets_the_nearest() -> None:
    result = run("tabel")
    assert result.returncode == 2
    assert "unknown command 'tabel'; did you mean table?" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "experiment=msanet_placs2"],
            "got 'msanet_placs2'; did you mean msanet_places2",
        ),
        (
            ["train", "experiment=msanet_places2", "data.root=/nowhere"],
            "error: the folder of Places2 does not exist: /nowhere",
        ),
        (
            ["train", "experiment=msanet_places2", "scale=demo", "model.generator.c_a=see"],
            "channel attention must be one of",
        ),
        (["evaluate", "checkpoint=/nowhere.ckpt"], "error: no such checkpoint: /nowhere.ckpt"),
        (["evaluate"], "error: checkpoint is not set"),
        (["train", "experiment=msanet_places2"], "error: data.root is not set: give it as data.root=..."),
        (["train", "data=photos"], "error: set one of batches and epochs, the length of the training; got None"),
        (["table", "msanet.table9"], "error: unknown table 'msanet.table9'; did you mean msanet.table"),
    ],
)
def test_errors_are_sentences(arguments: list[str], message: str, tmp_path: Path) -> None:
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert "Error executing job" not in result.stderr  # Hydra's words
