"""Load weights that the authors of a paper released."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from inpaintlab.checkpoints import weight_files
from inpaintlab.checkpoints.checkpoint import load_exactly, read_plain
from inpaintlab.errors import UserError, check_choice
from inpaintlab.networks.authors_weights import Released


def from_released(
    system: str, source: str | Path | Mapping[str, torch.Tensor], *, swap_colours: bool | None = None, **options: Any
) -> nn.Module:
    """Our generator with the weights that a paper's authors released, in eval mode, on the CPU.

    Args:
        system: "lbam"; "deepfill_v1" or "gconv" for the authors' TensorFlow weights and for those of PyTorch codes.
        source: their checkpoint (see `released_files.read`) or its state dict.
        swap_colours: for networks that work on BGR: reverse the channels of their inputs and outputs, or leave them.
            By default they are reversed if the filters are stored as TensorFlow has them, (height, width, in, out).
        options: constructor options of the generator that differ from those which the weights themselves show (LBAM:
            batch norm and its output function; DeepFill: whose code, and the width).

    Raises:
        FileNotFoundError, UserError: also listing the entries that are missing, unknown or of another shape; nothing
            is loaded then.
    """
    return build_released(system, read_released(system, source, swap_colours), **options)


def read_released(
    system: str, source: str | Path | Mapping[str, torch.Tensor], swap_colours: bool | None = None
) -> Released:
    """What `from_released` loads, the constructor options that it shows, and what in the file is left aside."""
    check_choice("system", system, systems_with_released_weights())
    label: str = "the given state dict"
    content: Any = source
    if not isinstance(source, Mapping):
        label, content = str(source), weight_files.read(Path(source).expanduser(), read_plain)
        if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
            content = content["state_dict"]  # as training programs save it
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items()
    ):
        raise UserError(f"{label} is not a state dict: it must hold tensors by name, and nothing else")
    prefix = "module." if all(name.startswith("module.") for name in content) else ""  # left by DataParallel
    weights = {name.removeprefix(prefix): weight for name, weight in content.items()}
    network = importlib.import_module(f"inpaintlab.networks.{system}")
    if hasattr(network, "released"):  # several codes released weights
        return replace(network.released(weights, swap_colours), source=label)
    if swap_colours:
        raise UserError(f"swap_colours=True: the authors' network of {system} works on RGB")
    return Released(weights, network.released_options(weights), network.authors_name, source=label)


def build_released(system: str, found: Released, **options: Any) -> nn.Module:
    """The generator with the weights that `read_released` found."""
    network = importlib.import_module(f"inpaintlab.networks.{system}")
    generator: nn.Module = network.Generator(**(found.options | options))
    load_exactly(generator, found.weights, found.source, found.called)
    return generator.eval()


def systems_with_released_weights() -> list[str]:
    import inpaintlab.networks as networks

    names = [name for _, name, _ in pkgutil.iter_modules(networks.__path__)]
    modules = {name: importlib.import_module(f"{networks.__name__}.{name}") for name in names}
    return [name for name, m in modules.items() if hasattr(m, "released") or hasattr(m, "authors_name")]
