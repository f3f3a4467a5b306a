"""Fills without training: what a hole looks like when nothing is learnt. Reference rows for every comparison.

Each is called like a generator, so `evaluate`, `inpaint` and tables take it. All work on the CPU, picture by picture.
A hole that leaves no known pixel is filled with mid-grey.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inpaintlab.batch import Output
from inpaintlab.errors import check_choice
from inpaintlab.networks.generator import InpaintingGenerator

Picture = NDArray[np.float64]
Mask = NDArray[np.bool_]
GREY = 0.5
RADIUS = 3  # of the neighbourhood that OpenCV's methods look at, in pixels


class Fill(InpaintingGenerator):
    """Base class: subclasses fill one picture."""

    title: ClassVar[str]
    source: ClassVar[str]

    @abstractmethod
    def fill(self, picture: Picture, hole: Mask) -> Picture:
        """Fill one picture.

        Args:
            picture: (H, W, 3), float64 in [0, 1]; 0 inside the hole.
            hole: (H, W); at least one pixel is missing and at least one is known.

        Returns:
            (H, W, 3); only the values inside the hole are used.
        """

    @torch.no_grad()
    def forward(self, image: Tensor, hole: Tensor) -> Output:
        filled = torch.full_like(image, GREY)
        for number, (picture, missing) in enumerate(zip(image, hole[:, 0] > 0.5, strict=True)):
            mask = missing.cpu().numpy()
            if mask.any() and not mask.all():
                known = torch.where(missing, 0.0, picture).permute(1, 2, 0).double().cpu().numpy()
                values = torch.from_numpy(np.ascontiguousarray(self.fill(known, mask)))
                filled[number] = torch.where(missing, values.permute(2, 0, 1).to(image), picture)
            elif not mask.any():
                filled[number] = picture
        return Output(image=filled)


class MeanColour(Fill):
    """The mean colour of the known pixels of the picture."""

    title = "mean colour"
    source = "mean over the known pixels"

    def fill(self, picture: Picture, hole: Mask) -> Picture:
        return np.broadcast_to(picture[~hole].mean(0), picture.shape)


class Nearest(Fill):
    """The colour of the nearest known pixel, by Euclidean distance."""

    title = "nearest pixel"
    source = "SciPy's Euclidean distance transform"

    def fill(self, picture: Picture, hole: Mask) -> Picture:
        from scipy.ndimage import distance_transform_edt

        rows, columns = distance_transform_edt(hole, return_distances=False, return_indices=True)
        return np.asarray(picture[rows, columns])


class Telea(Fill):
    """Fast marching (Telea 2004), OpenCV's implementation on 8-bit pictures."""

    title = "Telea"
    source = f"OpenCV's INPAINT_TELEA, radius {RADIUS}"
    flag: ClassVar[int] = cv2.INPAINT_TELEA

    def fill(self, picture: Picture, hole: Mask) -> Picture:
        levels = np.rint(picture * 255).astype(np.uint8)
        return np.asarray(cv2.inpaint(levels, hole.astype(np.uint8), RADIUS, self.flag) / 255)


class NavierStokes(Telea):
    """Fluid dynamics (Bertalmio et al. 2001), OpenCV's implementation on 8-bit pictures."""

    title = "Navier-Stokes"
    source = f"OpenCV's INPAINT_NS, radius {RADIUS}"
    flag = cv2.INPAINT_NS


class Harmonic(Fill):
    """The solution of the Laplace equation in the hole with the known pixels as boundary values.

    The discrete equation says that every missing pixel is the mean of its four neighbours; neighbours outside the
    picture are left out.
    """

    title = "harmonic"
    source = "Laplace equation, five-point stencil, solved by SciPy"

    def fill(self, picture: Picture, hole: Mask) -> Picture:
        from scipy.sparse import csc_matrix, diags
        from scipy.sparse.linalg import splu

        count = int(hole.sum())
        number = np.full(hole.shape, -1)
        number[hole] = np.arange(count)
        degree, boundary = np.zeros(count), np.zeros((count, picture.shape[2]))
        rows: list[NDArray[np.int_]] = []
        columns: list[NDArray[np.int_]] = []
        for here, there in _neighbours():
            missing = hole[here]
            own, other = number[here][missing], number[there][missing]
            inside = other >= 0
            degree[own] += 1
            rows.append(own[inside])
            columns.append(other[inside])
            boundary[own[~inside]] += picture[there][missing][~inside]
        across = np.concatenate(rows), np.concatenate(columns)
        coupling = csc_matrix((np.ones(len(across[0])), across), (count, count))
        system = (diags(degree) - coupling).tocsc()
        filled = picture.copy()
        filled[hole] = splu(system, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(boundary)
        return filled


def _neighbours() -> list[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Pairs of index ranges: every pixel and its neighbour below, above, right and left."""
    head, tail, every = slice(None, -1), slice(1, None), slice(None)
    return [
        ((head, every), (tail, every)),
        ((tail, every), (head, every)),
        ((every, head), (every, tail)),
        ((every, tail), (every, head)),
    ]


class Biharmonic(Fill):
    """The solution of the biharmonic equation in the hole, scikit-image's implementation."""

    title = "biharmonic"
    source = "scikit-image's inpaint_biharmonic"

    def fill(self, picture: Picture, hole: Mask) -> Picture:
        from skimage.restoration import inpaint_biharmonic

        return np.asarray(inpaint_biharmonic(picture, hole, channel_axis=2, split_into_regions=True))


FILLS: dict[str, type[Fill]] = {
    "mean_colour": MeanColour,
    "nearest": Nearest,
    "telea": Telea,
    "navier_stokes": NavierStokes,
    "harmonic": Harmonic,
    "biharmonic": Biharmonic,
}
TITLES = {name: fill.title for name, fill in FILLS.items()}


def make_fill(name: str) -> Fill:
    """The fill called `name`.

    Raises:
        UserError: for an unknown name.
    """
    check_choice("method", name, FILLS)
    return FILLS[name]()
