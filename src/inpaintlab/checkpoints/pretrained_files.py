"""The one place that knows files of pretrained networks: what they are called, where they are looked for, how checked.

Nothing is downloaded. A file is looked for at the path that the config names (`weights.vgg16=FILE`), in the folder
of the environment variable INPAINTLAB_WEIGHTS, and where torch keeps such files. "random" asks for an untrained
network.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inpaintlab.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from inpaintlab.metrics.lpips import Lpips
    from inpaintlab.networks.extractors.inception import Inception, InceptionOfTorchvision
    from inpaintlab.networks.extractors.vgg import Vgg16

FOLDER = "INPAINTLAB_WEIGHTS"


@dataclass(frozen=True)
class File:
    """A file of weights.

    Args:
        name: of the file, as its publisher calls it.
        sha256: how its hash begins; the publisher puts that into the name.
        what: what it is and who publishes it.
        used_for: in this suite.
    """

    name: str
    sha256: str
    what: str
    used_for: str


FILES = {
    "vgg16": File(
        "vgg16-397923af.pth", "397923af", "torchvision's VGG-16, IMAGENET1K_V1", "perceptual and style losses"
    ),
    "inception": File(
        "weights-inception-2015-12-05-6726825d.pth", "6726825d", "torch-fidelity's Inception v3 (2015)", "FID"
    ),
    "inception_torchvision": File(
        "inception_v3_google-0cc3c7bd.pth",
        "0cc3c7bd",
        "torchvision's Inception v3, IMAGENET1K_V1",
        "FID as EdgeConnect's script takes it",
    ),
    "alexnet": File("alexnet-owt-7be5be79.pth", "7be5be79", "torchvision's AlexNet, IMAGENET1K_V1", "LPIPS"),
}

# Metrics that need one of these files.
NETWORKS = {"fid": "inception", "fid_torchvision": "inception_torchvision", "lpips": "alexnet"}


def folders() -> list[Path]:
    """Where files are looked for, in this order."""
    own = os.environ.get(FOLDER)
    torch_home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
    found = [Path(own)] if own else []
    return [path.expanduser() for path in (*found, Path(torch_home) / "hub" / "checkpoints")]


def find(name: str, source: str | None = None) -> Path:
    """The checked file called `name` in `FILES`.

    Args:
        source: a path to it, or None to look in `folders`.

    Raises:
        FileNotFoundError: saying what to download and where to put it.
        UserError: if the file is another one than its name says.
    """
    file = FILES[name]
    if source is not None:
        path = Path(source).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"weights.{name}={source}: there is no such file")
        return path  # the user's own choice may be another training of the same network
    for folder in folders():
        path = folder / file.name
        if path.is_file():
            if not _sha256(path).startswith(file.sha256):
                raise UserError(
                    f"{path} is not the file that its name says (its SHA-256 must begin with {file.sha256})"
                )
            return path
    places = " or ".join(_told(folder) for folder in folders())
    raise FileNotFoundError(
        f"{file.name} ({file.what}), needed for {file.used_for}, is not here. Download it and put it into "
        f"{places}, or say weights.{name}=FILE. weights.{name}=random takes an untrained network instead, and the "
        "results say so."
    )


def _told(folder: Path) -> str:
    """A folder as people write it, and as it may stand in a table: ~ for the home of whoever reads it."""
    return f"~/{folder.relative_to(Path.home())}" if folder.is_relative_to(Path.home()) else str(folder)


def vgg16(source: str | None, layers: Sequence[str], normalise: bool) -> Vgg16:
    """VGG-16 as a frozen extractor of features.

    Args:
        source: a path, "random", or None to look for the file.
        layers, normalise: see `networks.vgg.Vgg16`.

    Raises:
        FileNotFoundError, UserError: before any training; see `find`.
    """
    from inpaintlab.networks.extractors.vgg import Vgg16

    return Vgg16(source if source == "random" else _read(find("vgg16", source)), layers=layers, normalise=normalise)


def inception(source: str | None) -> Inception:
    """Inception v3 as a frozen extractor of features for FID.

    Args:
        source: a path, "random", or None to look for the file.

    Raises:
        FileNotFoundError, UserError: see `find`.
    """
    from inpaintlab.networks.extractors.inception import Inception

    return Inception(*_of("inception", source))


def inception_torchvision(source: str | None) -> InceptionOfTorchvision:
    """The same with torchvision's network; see `inception`."""
    from inpaintlab.networks.extractors.inception import InceptionOfTorchvision

    return InceptionOfTorchvision(*_of("inception_torchvision", source))


def lpips(source: str | None) -> Lpips:
    """LPIPS with AlexNet's features; see `inception`."""
    from inpaintlab.metrics.lpips import Lpips

    return Lpips(*_of("alexnet", source))


def _of(name: str, source: str | None) -> tuple[dict[str, Tensor] | str, str]:
    """Weights and where they are from, or "random"."""
    if source == "random":
        return source, ""
    path = find(name, source)
    return _read(path), f"{path.name}, SHA-256 {_sha256(path)[:8]}"


def missing(name: str, source: str | None) -> str:
    """Why the network called `name` cannot be had from `source` (see `find`), or nothing if it can."""
    try:
        if source != "random":
            find(name, source)
    except (FileNotFoundError, UserError) as error:
        return str(error)
    return ""


def _read(path: Path) -> dict[str, Tensor]:
    from inpaintlab.checkpoints import weight_files

    found: dict[str, Tensor] = weight_files.plain(path, "weights")
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
