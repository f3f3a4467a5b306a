"""Read weight files of other programs: TensorFlow checkpoints, .npz archives of arrays, and PyTorch state dicts."""

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

HOW_TO_CONVERT = """install tensorflow, or convert the checkpoint on a machine that has it:
    import numpy, tensorflow
    reader = tensorflow.train.load_checkpoint("{}")
    names = reader.get_variable_to_shape_map()
    numpy.savez("weights.npz", **{{name: reader.get_tensor(name) for name in names}})
and use weights.npz instead"""


def read(path: Path, plain: Callable[[Path], Any]) -> Any:
    """Return the content of a weight file; for TensorFlow checkpoints and .npz files, tensors by name.

    Args:
        path: the file. For a TensorFlow checkpoint, its prefix, as TensorFlow itself takes it, or the ".index" file.
        plain: reads files of all other kinds.

    Raises:
        UserError: if the file is damaged or holds pickled objects, or if TensorFlow is needed and not installed.
    """
    prefix = path.with_suffix("") if path.suffix == ".index" else path
    if not path.is_dir() and Path(f"{prefix}.index").is_file():
        return _tensorflow(prefix)
    return _arrays(path) if path.suffix == ".npz" and path.is_file() else plain(path)


def plain(path: Path, what: str) -> Any:
    """Return the tensors and plain data that `torch.save` wrote, without running code that the file names.

    Args:
        what: what the file is expected to be, for the message.

    Raises:
        UserError: if the file is damaged, of another kind, or holds other objects; the message names the first one.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about some kinds of files before it refuses them
            return torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError:
        raise
    except Exception as error:  # its type depends on where a file is damaged
        kind = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f"it holds an object of type {kind[1]}" if kind else "it is damaged or another kind of file"
        raise UserError(
            f"{path} cannot be read as {what}: {reason}; only files with nothing but tensors and plain data are read"
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
        reason = "it holds pickled objects" if "pickle" in str(error) else "it is damaged or another kind of file"
        raise UserError(f"{path} cannot be read as an archive of plain arrays: {reason}") from None
