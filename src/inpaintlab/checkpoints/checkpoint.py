"""Self-describing checkpoints: the weights and the whole config, readable without unpickling code; authors' weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from inpaintlab.checkpoints import weight_files
from inpaintlab.errors import UserError
from inpaintlab.networks.generator import InpaintingGenerator

KEY = "inpaintlab"  # where a checkpoint keeps {"format", "system", "config", "conditions"}
AVERAGE = "generator_average"  # and its averaged weights, if there are any
FORMAT = 2  # 1: before version 0.2.0, with other class paths in the config
NEEDED = (  # beside the weights
    ("batches_done",),
    (KEY, "system"),
    (KEY, "config", "name"),
    (KEY, "config", "model", "generator", "_target_"),
)
LAST, PREVIOUS = "last.ckpt", "previous.ckpt"


@dataclass(frozen=True)
class Restored:
    """A generator in eval mode, ready to run, and where it comes from.

    Args:
        generator: on the device asked for.
        system: "msanet", say.
        config: the resolved training config, plain data.
        batches: how long it was trained.
        path: the file.
    """

    generator: InpaintingGenerator
    system: str
    config: dict[str, Any]
    batches: int
    path: Path

    def digest(self) -> str:
        """Sixteen characters that depend on every weight of the generator."""
        content = hashlib.sha256()
        for name, value in self.generator.state_dict().items():
            content.update(name.encode())
            content.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return content.hexdigest()[:16]


def describe(config: Mapping[str, Any], conditions: Mapping[str, Any]) -> dict[str, Any]:
    """What goes under `KEY` into a checkpoint."""
    return {"format": FORMAT, "system": config["system"], "config": dict(config), "conditions": dict(conditions)}


def read(path: str | Path) -> dict[str, Any]:
    """The content of one of our checkpoints.

    Raises:
        FileNotFoundError, UserError: if it does not exist, is torn, is no checkpoint of ours, or lacks an entry.
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
            "again"
        )
    if given != FORMAT:
        raise UserError(f"{path} has checkpoint format {given}; this version reads format {FORMAT}")
    lacking = [".".join(place) for place in NEEDED if _at(content, place) is None]
    if lacking:
        raise UserError(f"{path} is no whole checkpoint of inpaintlab: it lacks {', '.join(lacking)}")
    return content


def _at(content: Any, place: Sequence[str]) -> Any:
    """What stands at a place in nested mappings, or None."""
    for part in place:
        content = content.get(part) if isinstance(content, Mapping) else None
    return content


def read_plain(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"no such checkpoint: {path}")
    return weight_files.plain(path, "a checkpoint")


def load(
    path: str | Path, *, system: str | None = None, average: bool = False, device: str | torch.device = "cpu"
) -> Restored:
    """The generator of a checkpoint; no other file and no config is needed.

    Args:
        system: refuse a checkpoint of any other system.
        average: take the averaged weights.

    Raises:
        FileNotFoundError, UserError: also listing the entries that are missing, unknown or of another shape.
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
                f"{path} has no averaged weights; they are kept by a training with trainer.average=0.999, say"
            )
        weights = content[AVERAGE]
    load_exactly(generator, weights, str(path))
    return Restored(generator.eval().to(device), about["system"], about["config"], content["batches_done"], Path(path))


def load_exactly(
    module: nn.Module,
    weights: Mapping[str, torch.Tensor],
    source: str,
    called: Callable[[str], str] = str,
) -> None:
    """Load all weights or none.

    Args:
        source: where `weights` come from, for the message.
        called: what an entry of `module` is called in `weights`.

    Raises:
        UserError: listing entries that are missing, unknown or of another shape, as they are called in `weights`.
    """
    state = module.state_dict()
    names = {called(name): name for name in state}
    own = {theirs: state[name] for theirs, name in names.items()}
    wrong = {
        "missing": sorted(set(own) - set(weights)),
        "unknown": sorted(set(weights) - set(own)),
        "no tensor": sorted(name for name, value in weights.items() if not isinstance(value, torch.Tensor)),
        "other shape": [
            f"{k} {tuple(weights[k].shape)} for {tuple(own[k].shape)}"
            for k in sorted(set(own) & set(weights))
            if isinstance(weights[k], torch.Tensor) and weights[k].shape != own[k].shape
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
    """Instantiate a config from a file, whose targets must be classes defined in modules that begin with `allowed`.

    A checkpoint from a stranger may name any callable of any package, also through a module of ours that imports
    it; only our own classes are built.
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
        except (ImportError, ValueError):  # there is nothing of that name
            found = None
        if not isinstance(found, type) or not found.__module__.startswith(allowed):
            raise UserError(f"the checkpoint's config names {target}; only {', '.join(allowed)}* is built from a file")
    return instantiate(config, _convert_="all")


def newest(folder: str | Path, warn: Callable[[str], object] = print) -> Path | None:
    """The last checkpoint of a run that can be read, or None; a torn one is reported and the one before taken."""
    for name in (LAST, PREVIOUS):
        path = Path(folder) / name
        if path.exists():
            try:
                read(path)
                return path
            except UserError as error:
                warn(f"{error}; the checkpoint before it is used, if there is one")
    return None
