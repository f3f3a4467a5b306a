"""Self-describing checkpoints: weights and the whole config in one file that is read without unpickling code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from inpaintlab.checkpoints import content as contents
from inpaintlab.checkpoints import weight_files
from inpaintlab.checkpoints.stored_config import build, require_plain, shown
from inpaintlab.errors import UserError
from inpaintlab.networks.generator import InpaintingGenerator
from inpaintlab.utils.printable import printable

KEY, AVERAGE = contents.KEY, contents.AVERAGE
FORMAT = 2  # format 1, before version 0.2.0, has other class paths in its config
LARGEST_MULTIPLE = 1024  # of a generator's input; pictures are padded to multiples
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
    """Return the content of the entry `KEY` of a checkpoint.

    Raises:
        UserError: if the config holds what `load` would refuse.
    """
    require_plain(config, "the config")
    return {"format": FORMAT, "system": config["system"], "config": dict(config), "conditions": dict(conditions)}


def read(path: str | Path) -> dict[str, Any]:
    """Return the content of a checkpoint of this package, checked as `content.check` does.

    Raises:
        FileNotFoundError: if there is no such file.
        UserError: if the file is damaged, another kind of file, of another format, or lacks a required entry, or if
            an entry is wrong.
    """
    found = _of_this_format(Path(path).expanduser())
    contents.check(found, str(path))
    return found


def _of_this_format(path: Path) -> dict[str, Any]:
    """Return the unchecked entries of a checkpoint of the present format."""
    content = read_plain(path)
    if not isinstance(content, dict) or KEY not in content or "state_dict" not in content:
        found = ", ".join(sorted(map(str, content))[:8]) if isinstance(content, dict) else type(content).__name__
        raise UserError(f"{path} is not a checkpoint of inpaintlab: it holds {found} and no entry {KEY!r}")
    given = contents.at(content, (KEY, "format"))
    if given == 1:
        raise UserError(
            f"{path} was made before version 0.2.0; checkpoints and runs of earlier versions cannot be loaded: train "
            "again, or import the authors' weights again"
        )
    if type(given) is not int or given != FORMAT:
        raise UserError(f"{path} has checkpoint format {shown(given)}; this version reads format {FORMAT}")
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
    content = contents.check(_of_this_format(Path(path).expanduser()), str(path))
    if system is not None and content.system != system:
        raise UserError(f"{path} is a checkpoint of {content.system}, not of {system}")
    weights = content.weights
    if average:
        if content.average is None:
            raise UserError(
                f"{path} has no averaged weights; train with trainer.average=0.999, for example, to get them"
            )
        weights = content.average
    try:
        generator = _generator(content.config["model"]["generator"], weights, str(path))
    except UserError as error:
        raise UserError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    load_exactly(generator, weights, str(path))
    return Restored(generator.eval().to(device), content.system, content.config, content.batches, Path(path))


def _generator(config: Mapping[str, Any], weights: Mapping[str, Tensor], source: str) -> InpaintingGenerator:
    """Return the generator of a config that fits the weights; the memory is allocated after the shapes are compared."""
    with torch.device("meta"), _WithoutDraws():
        outline = build(config, InpaintingGenerator, "model.generator")
    if not 0 < outline.multiple <= LARGEST_MULTIPLE:
        raise UserError(
            f"model.generator needs pictures of multiples of {outline.multiple}; at most {LARGEST_MULTIPLE} is accepted"
        )
    _require_fit(outline, weights, source, str)
    return build(config, InpaintingGenerator, "model.generator")


class _WithoutDraws(TorchFunctionMode):
    """Leaves out the random initialisation, which has no effect on the meta device but takes seconds to import."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (Tensor.normal_, Tensor.uniform_, nn.init.kaiming_uniform_, nn.init.kaiming_normal_):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


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
    names = _require_fit(module, weights, source, called)
    module.load_state_dict({names[theirs]: weight for theirs, weight in weights.items()})


def _require_fit(
    module: nn.Module, weights: Mapping[str, Tensor], source: str, called: Callable[[str], str]
) -> dict[str, str]:
    """Return the names of the module's entries by their names in `weights`; arguments and errors as `load_exactly`."""
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
            f"{kind}: {', '.join(entries[:8])}{', ...' if len(entries) > 8 else ''}"
            for kind, entries in wrong.items()
            if entries
        ]
        raise UserError(f"the weights in {source} do not fit {type(module).__module__}; " + "; ".join(lines))
    return names


def newest(folder: str | Path, warn: Callable[[str], object] = print) -> Path | None:
    """Return the last readable checkpoint of a run, or None; `warn` is told about each one that cannot be read."""
    for name in (LAST, PREVIOUS):
        path = Path(folder) / name
        if path.exists():
            try:
                read(path)
                return path
            except UserError as error:
                warn(f"{printable(error)}; trying the previous checkpoint instead, if there is one")
    return None
