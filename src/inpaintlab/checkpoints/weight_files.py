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

LARGEST_UNPACKED = 16 * 2**30  # bytes of a compressed archive of arrays; weights of one network are far below 1 GiB
LARGEST_RATIO = 50  # of unpacked to packed size; trained weights hardly compress
ONLY_PLAIN = "only files with nothing but tensors and plain data are read"
DAMAGED = f"it is damaged or another kind of file; {ONLY_PLAIN}"
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
    _require_intact(path, what)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about some kinds of files before it refuses them
            return torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError:
        raise
    except Exception as error:  # its type depends on where a file is damaged
        kind = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f"it holds an object of type {kind[1]}; {ONLY_PLAIN}" if kind else DAMAGED
        raise UserError(f"{path} cannot be read as {what}: {reason}") from None


def _require_intact(path: Path, what: str) -> None:
    """Compare the checksums that `torch.save` writes, which `torch.load` does not; files before PyTorch 1.6 have none.

    Raises:
        UserError: if the file is not what was written, or would unpack to more than its own size.
    """
    with path.open("rb") as file:
        if file.read(4) != b"PK\3\4":
            return
        size, reason = path.stat().st_size, ""
        try:
            with zipfile.ZipFile(file) as pack:
                if any(entry.compress_type != zipfile.ZIP_STORED for entry in pack.infolist()):
                    reason = "it is compressed, which files of torch.save are not"
                elif sum(entry.file_size for entry in pack.infolist()) > size:
                    reason = "its entries are larger than the file"
                elif _is_encrypted(pack):
                    reason = "it is encrypted"
                else:
                    broken = pack.testzip()
                    reason = f"it is damaged, the checksum of {broken} does not match; copy it again" if broken else ""
        except Exception:  # its type depends on where the file is damaged
            reason = DAMAGED
    if reason:
        raise UserError(f"{path} cannot be read as {what}: {reason}")


def _is_encrypted(pack: zipfile.ZipFile) -> bool:
    return any(entry.flag_bits & 1 for entry in pack.infolist())


def _require_small(path: Path) -> None:
    """Raise UserError for an archive of arrays that is encrypted or unpacks to far more than its size."""
    with zipfile.ZipFile(path) as pack:
        unpacked = sum(entry.file_size for entry in pack.infolist())
        if _is_encrypted(pack):
            raise UserError(f"{path} is encrypted; unpack it with its password and save it without one")
        if unpacked > min(LARGEST_UNPACKED, LARGEST_RATIO * path.stat().st_size):
            raise UserError(
                f"{path} would unpack to {unpacked / 1e9:.1f} GB, more than {LARGEST_RATIO} times its size or "
                f"{LARGEST_UNPACKED / 2**30:.0f} GiB; weights of a network do not"
            )


def _tensorflow(prefix: Path) -> dict[str, Tensor]:
    try:
        train: Any = importlib.import_module("tensorflow").train
    except ImportError:
        first, *more = HOW_TO_CONVERT.format(prefix).split("\n")
        raise UserError(
            f"{prefix} is a TensorFlow checkpoint, and tensorflow is not installed; {first}", *more
        ) from None
    reader = train.load_checkpoint(str(prefix))
    return {name: torch.as_tensor(reader.get_tensor(name)) for name in reader.get_variable_to_shape_map()}


def _arrays(path: Path) -> dict[str, Tensor]:
    import numpy as np

    try:
        _require_small(path)
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.as_tensor(file[name]) for name in file.files}
    except (UserError, PermissionError):
        raise
    except Exception as error:  # its type depends on where the file is damaged
        reason = "it holds pickled objects" if "pickle" in str(error) else "it is damaged or another kind of file"
        raise UserError(f"{path} cannot be read as an archive of plain arrays: {reason}") from None
