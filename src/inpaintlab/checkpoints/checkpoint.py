"""Self-describing checkpoints: weights and the whole config in one file that is read without unpickling code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from inpaintlab.checkpoints import weight_files
from inpaintlab.errors import UserError
from inpaintlab.networks.generator import InpaintingGenerator

KEY = "inpaintlab"  # the entry of a checkpoint with {"format", "system", "config", "conditions"}
AVERAGE = "generator_average"  # the entry with the averaged weights, if the run kept them
FORMAT = 2  # format 1, before version 0.2.0, has other class paths in its config
REQUIRED = (  # entries beside the weights
    ("batches_done",),
    (KEY, "system"),
    (KEY, "config", "name"),
    (KEY, "config", "model", "generator", "_target_"),
)
LAST, PREVIOUS = "last.ckpt", "previous.ckpt"


@dataclass(frozen=True)
class Restored:
    """A generator in eval mode and its origin.

    Args:
        generator: on the requested device.
        system: the name of its model config.
        config: the resolved training config, plain data.
        batches: number of batches that it was trained for.
        path: the checkpoint.
    """

    generator: InpaintingGenerator
    system: str
    config: dict[str, Any]
    batches: int
    path: Path

    @property
    def name(self) -> str:
        """The name of the experiment."""
        return str(self.config["name"])

    @property
    def scale(self) -> str:
        """The name of the scale."""
        return str(self.config["scale"]["name"])

    @property
    def seed(self) -> int:
        """The seed of the training."""
        return int(self.config["seed"])

    @property
    def file(self) -> str:
        """The name of the checkpoint's file."""
        return self.path.name

    @property
    def train_holes(self) -> dict[str, Any]:
        """The config of the training masks."""
        holes: dict[str, Any] = self.config["data"]["train_holes"]
        return holes

    def digest(self) -> str:
        """Return a hash of all weights of the generator, 16 hexadecimal characters."""
        content = hashlib.sha256()
        for name, value in self.generator.state_dict().items():
            content.update(name.encode())
            content.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return content.hexdigest()[:16]


def describe(config: Mapping[str, Any], conditions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of the entry `KEY` of a checkpoint."""
    return {"format": FORMAT, "system": config["system"], "config": dict(config), "conditions": dict(conditions)}


def read(path: str | Path) -> dict[str, Any]:
    """Return the content of a checkpoint of this package.

    Raises:
        FileNotFoundError: if there is no such file.
        UserError: if the file is damaged, another kind of file, of another format, or lacks a required entry.
    """
    path = Path(path).expanduser()
    content = read_plain(path)
    if not isinstance(content, dict) or KEY not in content or "state_dict" not in content:
        found = ", ".join(sorted(map(str, content))[:8]) if isinstance(content, dict) else type(content).__name__
        raise UserError(f"{path} is not a checkpoint of inpaintlab: it holds {found} and no entry {KEY!r}")
    given = _at(content, (KEY, "format"))
    if given == 1:
        raise UserError(
            f"{path} was made before version 0.2.0; checkpoints and runs of earlier versions cannot be loaded: train "
            "again, or import the authors' weights again"
        )
    if given != FORMAT:
        raise UserError(f"{path} has checkpoint format {given}; this version reads format {FORMAT}")
    missing = [".".join(place) for place in REQUIRED if _at(content, place) is None]
    if missing:
        raise UserError(f"{path} is an incomplete checkpoint: missing {', '.join(missing)}")
    return content


def _at(content: object, place: Sequence[str]) -> object:
    """Return the value at a path of keys in nested mappings, or None."""
    for key in place:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def read_plain(path: Path) -> Any:
    """Return what a file of `torch.save` holds; errors as of `read`."""
    if not path.is_file():
        raise FileNotFoundError(f"no such checkpoint: {path}")
    return weight_files.plain(path, "a checkpoint")


def load(
    path: str | Path, *, system: str | None = None, average: bool = False, device: str | torch.device = "cpu"
) -> Restored:
    """Return the generator of a checkpoint; no other file and no config is needed.

    Args:
        system: refuse checkpoints of other systems.
        average: use the averaged weights.

    Raises:
        FileNotFoundError: if there is no such file.
        UserError: if the file cannot be used; entries that are missing, unknown or of another shape are listed.
    """
    content = read(path)
    about = content[KEY]
    if system is not None and about["system"] != system:
        raise UserError(f"{path} is a checkpoint of {about['system']}, not of {system}")
    generator = build(about["config"]["model"]["generator"], "inpaintlab.networks.")
    if not isinstance(generator, InpaintingGenerator):
        raise UserError(f"{path}: the config's model.generator names {type(generator).__qualname__}, not a generator")
    prefix = "generator."
    weights = {k.removeprefix(prefix): v for k, v in content["state_dict"].items() if k.startswith(prefix)}
    if average:
        if AVERAGE not in content:
            raise UserError(
                f"{path} has no averaged weights; train with trainer.average=0.999, for example, to get them"
            )
        weights = content[AVERAGE]
    load_exactly(generator, weights, str(path))
    return Restored(generator.eval().to(device), about["system"], about["config"], content["batches_done"], Path(path))


def load_exactly(
    module: nn.Module, weights: Mapping[str, Tensor], source: str, called: Callable[[str], str] = str
) -> None:
    """Load all weights or none.

    Args:
        source: origin of `weights`, for the message.
        called: maps the name of an entry of `module` to its name in `weights`.

    Raises:
        UserError: listing the entries that are missing, unknown, not tensors, or of another shape, by their names in
            `weights`.
    """
    state = module.state_dict()
    names = {called(name): name for name in state}
    own = {theirs: state[name] for theirs, name in names.items()}
    wrong = {
        "missing": sorted(set(own) - set(weights)),
        "unknown": sorted(set(weights) - set(own)),
        "no tensor": sorted(name for name, value in weights.items() if not isinstance(value, Tensor)),
        "other shape": [
            f"{k} {tuple(weights[k].shape)} for {tuple(own[k].shape)}"
            for k in sorted(set(own) & set(weights))
            if isinstance(weights[k], Tensor) and weights[k].shape != own[k].shape
        ],
    }
    if any(wrong.values()):
        lines = [
            f"{kind}: {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"
            for kind, names in wrong.items()
            if names
        ]
        raise UserError(f"the weights in {source} do not fit {type(module).__module__}; " + "; ".join(lines))
    module.load_state_dict({names[theirs]: weight for theirs, weight in weights.items()})


def build(config: Any, *allowed: str) -> Any:
    """Instantiate a config that was read from a file.

    The file may come from a stranger and name any callable of any package, or reach one through a module of ours that
    imports it. So a target must be a class, and the module that defines it must start with one of `allowed`.

    Raises:
        UserError: for any other target.
    """
    from hydra.utils import get_object, instantiate

    def targets(node: Any) -> list[str]:
        if isinstance(node, Mapping):
            here = [str(node["_target_"])] if "_target_" in node else []
            return here + [t for child in node.values() for t in targets(child)]
        return [t for child in node for t in targets(child)] if isinstance(node, (list, tuple)) else []

    for target in targets(config):
        try:
            found = get_object(target) if target.startswith(allowed) else None
        except (ImportError, ValueError):  # no such object
            found = None
        if not isinstance(found, type) or not found.__module__.startswith(allowed):
            raise UserError(
                f"the checkpoint's config names {target}; only classes of {', '.join(allowed)}* are built from a file"
            )
    return instantiate(config, _convert_="all")


def newest(folder: str | Path, warn: Callable[[str], object] = print) -> Path | None:
    """Return the last readable checkpoint of a run, or None; `warn` is told about each one that cannot be read."""
    for name in (LAST, PREVIOUS):
        path = Path(folder) / name
        if path.exists():
            try:
                read(path)
                return path
            except UserError as error:
                warn(f"{error}; trying the previous checkpoint instead, if there is one")
    return None
