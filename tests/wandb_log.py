"""Read the log of an offline W&B run without W&B's server: its config, curves and tables.

A `.wandb` file has a header of 7 bytes, then blocks of 32 KiB that hold parts of records. A part has a checksum (4
bytes), a length (2 bytes), a kind (1 byte: whole, first, middle or last part) and its content; the parts of a record
together are a protobuf `Record`. W&B does not document this format, so that only tests may depend on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

BLOCK, HEADER = 32768, 7
WHOLE, LAST = 1, 4


@dataclass
class Run:
    """The content of all logs of a run; a resumed run has several.

    Args:
        id, name, group, tags, config: as on W&B's dashboard.
        curves: metric -> {batches: value}.
        tables: name -> {"columns": [...], "data": [...]}.
        images: name -> {batches: file}.
        ended: whether the last log is complete; W&B may finish it a moment after the training.
    """

    id: str = ""
    name: str = ""
    group: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, dict[int, float]] = field(default_factory=dict)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    images: dict[str, dict[int, Path]] = field(default_factory=dict)
    ended: bool = False


def read(folder: Path) -> Run:
    """Read all logs in the folder of a run."""
    run = Run()
    for log in sorted(folder.glob("wandb/**/run-*.wandb"), key=lambda path: path.parent.name):
        _read(run, log)
    return run


def _read(run: Run, log: Path) -> None:
    for content in _records(log.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(content)
        if record.HasField("run"):
            about, run.ended = record.run, False
            run.id, run.group = about.run_id, about.run_group or run.group
            run.name, run.tags = about.display_name or run.name, tuple(about.tags) or run.tags
            run.config |= _items(about.config.update)
        elif record.HasField("config"):
            run.config |= _items(record.config.update)
        elif record.HasField("exit"):
            run.ended = True
        elif record.HasField("history"):
            values = _items(record.history.item)
            _add(run, values, int(values.get("trainer/global_step", 0)), log.parent / "files")


def _add(run: Run, values: dict[str, Any], batches: int, files: Path) -> None:
    for key, value in values.items():
        if isinstance(value, (int, float)) and not key.startswith(("_", "trainer/")):
            run.curves.setdefault(key, {})[batches] = float(value)
        elif isinstance(value, dict) and value.get("_type") == "table-file":
            run.tables[key] = json.loads((files / value["path"]).read_text())
        elif isinstance(value, dict) and value.get("_type") == "images/separated":
            run.images.setdefault(key, {})[batches] = files / value["filenames"][-1]


def _items(items: Iterable[Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for item in items:
        *parents, last = list(item.nested_key) or [item.key]
        node = values
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = json.loads(item.value_json)
    return values


def _records(content: bytes) -> Iterator[bytes]:
    position, parts = HEADER, b""
    while position + HEADER <= len(content):
        if BLOCK - position % BLOCK < HEADER:  # too little room for another header: padding
            position += BLOCK - position % BLOCK
            continue
        length, kind = int.from_bytes(content[position + 4 : position + 6], "little"), content[position + 6]
        begin = position + HEADER
        if begin + length > len(content):
            return  # the process was killed while it wrote
        parts += content[begin : begin + length]
        position = begin + length
        if kind in (WHOLE, LAST):
            yield parts
            parts = b""
