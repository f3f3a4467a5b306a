#!/usr/bin/env python3
"""Stands in for SLURM's commands: called as sbatch, srun, sacct, scontrol or scancel, it does what submitit expects.

A job is a process started at once; its state is a file in the folder SLURM_STUB. What the real commands get is kept
there too, so that a test can read it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(os.environ["SLURM_STUB"])


def option(script: str, name: str, default: str = "1") -> str:
    found = re.search(rf"^#SBATCH --{name}=(.*)$", script, re.MULTILINE)
    return found.group(1).strip("'") if found else default


def sbatch(script: str) -> None:
    """Start all jobs of the array and say its number."""
    text = Path(script).read_text()
    (ROOT / "script.sh").write_text(text)
    number = str(100 + len(list(ROOT.glob("*.array"))))
    array = re.fullmatch(r"0-(\d+)%(\d+)", option(text, "array", ""))
    (ROOT / f"{number}.array").write_text(text)
    names = [f"{number}_{i}" for i in range(int(array.group(1)) + 1)] if array else [number]
    for name in names:
        begin(name, text)
    print(f"Submitted batch job {number}")


def begin(name: str, text: str) -> None:
    job, _, index = name.partition("_")
    environment = os.environ | {
        "SLURM_JOB_ID": job,
        "SLURM_JOB_NAME": "inpaintlab",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_JOB_NODELIST": "127.0.0.1",
        "SLURM_NTASKS": option(text, "ntasks-per-node"),
        "SLURM_NTASKS_PER_NODE": option(text, "ntasks-per-node"),
        "STUB_JOB": name,
    }
    if index:
        environment |= {"SLURM_ARRAY_JOB_ID": job, "SLURM_ARRAY_TASK_ID": index}
    (ROOT / f"{name}.state").write_text("RUNNING")
    nothing = subprocess.DEVNULL
    command = [sys.executable, __file__, "run", name]
    subprocess.Popen(command, env=environment, stdout=nothing, stderr=nothing, start_new_session=True)


def run(name: str) -> None:
    """The batch script, on the first node."""
    status = subprocess.call(["bash", str(ROOT / f"{name.partition('_')[0]}.array")])
    state = ROOT / f"{name}.state"
    if state.read_text() == "REQUEUED":
        with (ROOT / "requeued").open("a") as file:
            file.write(f"{name}\n")
        begin(name, (ROOT / f"{name.partition('_')[0]}.array").read_text())
    else:
        state.write_text("COMPLETED" if status == 0 else "FAILED")


def srun(*arguments: str) -> None:
    """One process per task; ends with the worst status, as with --kill-on-bad-exit."""
    given = list(arguments)
    paths = {
        given[i].removeprefix("--"): given[i + 1] for i in range(len(given)) if given[i] in ("--output", "--error")
    }
    command = given[given.index("--error") + 2 :]
    name = os.environ["STUB_JOB"]
    tasks = []
    for task in range(int(os.environ["SLURM_NTASKS"])):
        files = {}
        for kind, path in paths.items():
            for pattern, value in (("%A_%a", name), ("%j", name), ("%t", str(task))):
                path = path.replace(pattern, value)
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            files[kind] = Path(path).open("ab")  # noqa: SIM115
        place = {"SLURM_PROCID": str(task), "SLURM_LOCALID": str(task), "SLURM_NODEID": "0"}
        tasks.append(subprocess.Popen(command, env=os.environ | place, stdout=files["output"], stderr=files["error"]))
    (ROOT / f"{name}.pids").write_text(" ".join(str(task.pid) for task in tasks))
    first = tasks[0].wait()
    if first:
        for task in tasks[1:]:
            task.kill()
    sys.exit(max([abs(first), *(abs(task.wait()) for task in tasks[1:])]))


def sacct(*_: str) -> None:
    print("JobID|State|NodeList")
    for state in ROOT.glob("*.state"):
        print(f"{state.stem}|{state.read_text()}|stub")


def scontrol(verb: str, name: str) -> None:
    assert verb == "requeue"
    (ROOT / f"{name}.state").write_text("REQUEUED")


def scancel(name: str, flag: str, number: str) -> None:
    """Only with a signal, which every task gets."""
    assert flag == "--signal"
    for pid in (ROOT / f"{name}.pids").read_text().split():
        os.kill(int(pid), signal.Signals[f"SIG{number.removeprefix('SIG')}"])


if __name__ == "__main__":
    verb, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    if arguments[0] == "run":
        verb, *arguments = arguments
    {"sbatch": sbatch, "srun": srun, "sacct": sacct, "scontrol": scontrol, "scancel": scancel, "run": run}[verb](
        *arguments
    )
