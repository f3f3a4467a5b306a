"""What can be evaluated: the generator of a checkpoint, or a fill without training."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from inpaintlab.networks.fills import Fill, make_fill
from inpaintlab.networks.generator import InpaintingGenerator

FOLDER = "fills"  # below the output folder; the evaluations of all fills, shared by tables and `inpaintlab evaluate`


class Subject(Protocol):
    """A generator in eval mode and its origin; `checkpoints.checkpoint.Restored` is one.

    Attributes:
        generator: on the device of the evaluation.
        system: name of the model config, or of the fill.
        name, scale: of the training; a fill has its own name and no scale.
        seed: of the training, 0 for a fill.
        batches: length of the training; 0 for authors' weights and for a fill.
        file: name of the checkpoint; "" for a fill.
        train_holes: config of the training masks; None for a fill.
    """

    @property
    def generator(self) -> InpaintingGenerator: ...
    @property
    def system(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def scale(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def batches(self) -> int: ...
    @property
    def file(self) -> str: ...
    @property
    def train_holes(self) -> dict[str, Any] | None: ...

    def digest(self) -> str:
        """Return 16 characters that are equal only for equal predictions."""
        ...


@dataclass(frozen=True)
class Untrained:
    """A fill without training as the subject of an evaluation.

    Args:
        generator: the fill.
        name: its key in `networks.fills.FILLS`.
    """

    generator: Fill
    name: str
    scale: str = ""
    seed: int = 0
    batches: int = 0
    file: str = ""
    train_holes: dict[str, Any] | None = None

    @property
    def system(self) -> str:
        """The name of the fill."""
        return self.name

    def digest(self) -> str:
        """Return a hash of the method's name and of its implementation's description; a fill has no weights."""
        return hashlib.sha256(f"{self.name}: {self.generator.source}".encode()).hexdigest()[:16]

    def folder(self, output: str | Path) -> Path:
        """Return the folder of its evaluations below `output`."""
        return Path(output) / FOLDER / self.name


def untrained(name: str) -> Untrained:
    """Return the fill called `name`.

    Raises:
        UserError: for an unknown name.
    """
    fill = make_fill(name)
    fill.eval()
    return Untrained(fill, name)
