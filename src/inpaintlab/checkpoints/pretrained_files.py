"""Find, check and load the files of pretrained networks.

Nothing is downloaded. A file is searched for at the path in the config (`weights.vgg16=FILE`), in the folder named by
the environment variable INPAINTLAB_WEIGHTS, and in torch's own cache. The source "random" selects an untrained
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
        name: file name given by the publisher.
        sha256: first characters of its SHA-256, which the publisher puts into the name.
        what: network and publisher.
        used_for: losses or metrics that need it.
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
        "FID as EdgeConnect's script computes it",
    ),
    "alexnet": File("alexnet-owt-7be5be79.pth", "7be5be79", "torchvision's AlexNet, IMAGENET1K_V1", "LPIPS"),
}

# The file that each of these metrics needs.
NETWORKS = {"fid": "inception", "fid_torchvision": "inception_torchvision", "lpips": "alexnet"}


def folders() -> list[Path]:
    """Return the folders that are searched, in this order."""
    own = os.environ.get(FOLDER)
    torch_home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
    found = [Path(own)] if own else []
    return [path.expanduser() for path in (*found, Path(torch_home) / "hub" / "checkpoints")]


def find(name: str, source: str | None = None) -> Path:
    """Return the path of a file of weights.

    Args:
        name: a key of `FILES`.
        source: a path, which is used as it is, or None to search `folders` and check the hash.

    Raises:
        FileNotFoundError: if there is no such file; the message says what to download and where to put it.
        UserError: if the content does not match the hash in the name.
    """
    file = FILES[name]
    if source is not None:
        path = Path(source).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"weights.{name}={source}: there is no such file")
        return path  # may be another training of the same network, so its hash is not checked
    for folder in folders():
        path = folder / file.name
        if path.is_file():
            if not _sha256(path).startswith(file.sha256):
                raise UserError(
                    f"{path} does not match its name: its SHA-256 must begin with {file.sha256}; download it again"
                )
            return path
    places = " or ".join(_label(folder) for folder in folders())
    raise FileNotFoundError(
        f"{file.name} ({file.what}), needed for {file.used_for}, was not found. Download it into {places}, or set "
        f"weights.{name}=FILE. With weights.{name}=random an untrained network is used, and the results say so."
    )


def _label(folder: Path) -> str:
    """Return a folder with ~ for the home directory, since the message may be published with a table."""
    return f"~/{folder.relative_to(Path.home())}" if folder.is_relative_to(Path.home()) else str(folder)


def vgg16(source: str | None, layers: Sequence[str], normalise: bool) -> Vgg16:
    """Return VGG-16 as a frozen feature extractor.

    Args:
        source: a path, "random", or None to search for the file.
        layers, normalise: see `networks.extractors.vgg.Vgg16`.

    Raises:
        FileNotFoundError, UserError: see `find`; also if the weights do not fit.
    """
    from inpaintlab.networks.extractors.vgg import Vgg16

    return Vgg16(source if source == "random" else _read(find("vgg16", source)), layers=layers, normalise=normalise)


def inception(source: str | None) -> Inception:
    """Return torch-fidelity's Inception v3 as a frozen feature extractor for FID; see `vgg16` for source and errors."""
    from inpaintlab.networks.extractors.inception import Inception

    return Inception(*_of("inception", source))


def inception_torchvision(source: str | None) -> InceptionOfTorchvision:
    """Return torchvision's Inception v3 as a frozen feature extractor for FID; see `vgg16`."""
    from inpaintlab.networks.extractors.inception import InceptionOfTorchvision

    return InceptionOfTorchvision(*_of("inception_torchvision", source))


def lpips(source: str | None) -> Lpips:
    """Return LPIPS on the features of AlexNet; see `vgg16`."""
    from inpaintlab.metrics.lpips import Lpips

    return Lpips(*_of("alexnet", source))


def _of(name: str, source: str | None) -> tuple[dict[str, Tensor] | str, str]:
    """Return weights and their origin, or "random"."""
    if source == "random":
        return source, ""
    path = find(name, source)
    return _read(path), f"{path.name}, SHA-256 {_sha256(path)[:8]}"


def missing(name: str, source: str | None) -> str:
    """Return why the network `name` cannot be loaded from `source` (see `find`), or "" if it can."""
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
