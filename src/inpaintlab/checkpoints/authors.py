"""Load weights that the authors of a paper published."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from inpaintlab.checkpoints import weight_files
from inpaintlab.checkpoints.checkpoint import load_exactly, read_plain
from inpaintlab.errors import UserError, check_choice
from inpaintlab.networks.authors_weights import AuthorsWeights, Released
from inpaintlab.networks.generator import InpaintingGenerator


def from_released(
    system: str, source: str | Path | Mapping[str, Tensor], *, swap_colours: bool | None = None, **options: Any
) -> InpaintingGenerator:
    """Return our generator with the weights that a paper's authors published, in eval mode, on the CPU.

    Args:
        system: one of `systems_with_released_weights`. If several codes released weights of a system, the names of
            the entries tell which one `source` is from.
        source: the authors' checkpoint (see `weight_files.read`) or its state dict.
        swap_colours: for networks that work on BGR: whether to reverse the channels of inputs and outputs. By default
            they are reversed if the filters have TensorFlow's layout, (height, width, in, out).
        options: constructor options of the generator; they take precedence over those that the weights show.

    Raises:
        FileNotFoundError: if there is no such file.
        UserError: if the file or its content cannot be used. Entries that are missing, unknown or of another shape
            are listed, and nothing is loaded.
    """
    return build_released(system, read_released(system, source, swap_colours), **options)


def read_released(system: str, source: str | Path | Mapping[str, Tensor], swap_colours: bool | None = None) -> Released:
    """Read what `from_released` loads; see there for the arguments and errors."""
    check_choice("system", system, systems_with_released_weights())
    weights, label = _state_dict(source)
    network = _generator_class(system)
    assert issubclass(network, AuthorsWeights)
    if swap_colours and not network.swaps_colours:
        raise UserError(f"swap_colours=True: the authors' network of {system} works on RGB; leave the option out")
    return replace(network.map_authors_weights(weights, swap_colours), source=label)


def build_released(system: str, found: Released, **options: Any) -> InpaintingGenerator:
    """Return the generator with the weights that `read_released` found; `options` as of `from_released`."""
    generator = _generator_class(system)(**(found.options | options))
    load_exactly(generator, found.weights, found.source, found.called)
    return generator.eval()


def systems_with_released_weights() -> list[str]:
    """Return the systems whose authors published weights, in alphabetical order."""
    import inpaintlab.networks as networks

    found = []
    for name in sorted(module.name for module in pkgutil.iter_modules(networks.__path__)):
        network = vars(importlib.import_module(f"{networks.__name__}.{name}")).get("Generator")
        if isinstance(network, type) and issubclass(network, AuthorsWeights):
            found.append(name)
    return found


def _generator_class(system: str) -> type[InpaintingGenerator]:
    network: type[InpaintingGenerator] = importlib.import_module(f"inpaintlab.networks.{system}").Generator
    return network


def _state_dict(source: str | Path | Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Return the tensors by name, without wrappers that training programs add, and where they come from."""
    label: str = "the given state dict"
    content: object = source
    if not isinstance(source, Mapping):
        label, content = str(source), weight_files.read(Path(source).expanduser(), read_plain)
        if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
            content = content["state_dict"]  # as training programs save it
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise UserError(f"{label} is not a state dict: it must map names to tensors and hold nothing else")
    prefix = "module." if all(name.startswith("module.") for name in content) else ""  # left by DataParallel
    return {name.removeprefix(prefix): weight for name, weight in content.items()}, label
