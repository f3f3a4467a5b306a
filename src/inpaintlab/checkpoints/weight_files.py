"""Weight files as others wrote them: TensorFlow checkpoints, arrays by name (.npz), and PyTorch's state dicts."""

from __future__ import annotations

import importlib
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inpaintlab.errors import UserError

HOW_TO_CONVERT = """install tensorflow, or convert the checkpoint where it is installed:
    import numpy, tensorflow
    reader = tensorflow.train.load_checkpoint("{}")
    names = reader.get_variable_to_shape_map()
    numpy.savez("weights.npz", **{{name: reader.get_tensor(name) for name in names}})
and give weights.npz instead"""


def read(path: Path, plain: Callable[[Path], Any]) -> Any:
    """The content of a file; tensors by name if it is one of TensorFlow's or an .npz.

    Args:
        path: of TensorFlow's checkpoints the prefix, as TensorFlow itself takes it, or the file ending in ".index".
        plain: reads all other files.

    Raises:
        UserError: if it is broken, holds pickled objects, or needs TensorFlow, which is not installed.
    """
    prefix = path.with_suffix("") if path.suffix == ".index" else path
    if not path.is_dir() and Path(f"{prefix}.index").is_file():
        return _tensorflow(prefix)
    return _arrays(path) if path.suffix == ".npz" and path.is_file() else plain(path)


def plain(path: Path, what: str) -> Any:
    """What `torch.save` wrote: tensors and plain data. No code that a file names is run.

    Args:
        what: the file is meant to be.

    Raises:
        UserError: if it is torn, another kind of file, or holds other objects; then naming the kind of the first.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, about kinds of files that it refuses in the next line
            return torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError:
        raise
    except Exception as error:  # which one depends on where a file is torn
        kind = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f"it holds an object of the kind {kind[1]}" if kind else "it is torn, or another kind of file"
        raise UserError(
            f"{path} cannot be read as {what}: it is no file of tensors that can be read safely ({reason})"
        ) from None


def _tensorflow(prefix: Path) -> dict[str, Tensor]:
    try:
        train: Any = importlib.import_module("tensorflow").train
    except ImportError:
        how = HOW_TO_CONVERT.format(prefix)
        raise UserError(f"{prefix} is a TensorFlow checkpoint, and tensorflow is not installed; {how}") from None
    reader = train.load_checkpoint(str(prefix))
    return {name: torch.as_tensor(reader.get_tensor(name)) for name in reader.get_variable_to_shape_map()}


def _arrays(path: Path) -> dict[str, Tensor]:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.as_tensor(file[name]) for name in file.files}
    except (ValueError, OSError, TypeError, EOFError, zipfile.BadZipFile) as error:
        reason = "it holds pickled objects" if "pickle" in str(error) else "it is torn, or another kind of file"
        raise UserError(f"{path} cannot be read as plain arrays by name: {reason}") from None
