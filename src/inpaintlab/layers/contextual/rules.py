"""Differences between the public codes of contextual attention, and what its implementations share.

Three codes of the layer of DeepFill (Yu et al., CVPR 2018) are in use: the authors' in TensorFlow ("authors"), the
PyTorch port ("port") and mmagic's ("mmagic"). They differ in the choices of `Rules`; weights that were trained with one
code give other pictures with the rules of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypedDict, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaintlab.errors import check_choice

CHOICES = {
    "sampling": ("align_corners", "floor"),
    "norm": ("clamp", "added"),
    "removed": ("zero_score", "minus_infinity"),
    "divisor": ("four", "overlaps"),
    "mask": ("per_sample", "first"),
}
EPSILON = 1e-4


@dataclass(frozen=True)
class Rules:
    """One choice for each point in which the codes differ.

    Args:
        sampling: index rule for nearest-neighbour downsampling, "align_corners" or "floor" (see `resize_nearest`).
        norm: norm of a matching patch: "clamp", max(norm, 1e-4), or "added", where 1e-4 is added to each squared
            element.
        foreground_norm: also divide the scores by the norm of the foreground's patch, which gives the cosine of the
            paper's formula. No released code does.
        removed: what happens to background patches that touch the hole. "zero_score": their score is 0 before the
            softmax, so they count in its denominator, and their weight is 0 after it. "minus_infinity": they do not
            enter the softmax.
        divisor: divisor of the sum of pasted patches: "four", the number of patches over a pixel inside the map, which
            makes the border darker, or "overlaps", the true number at each pixel.
        mask: "per_sample", or "first" to use the first mask of the batch for all samples.

    Raises:
        ValueError: if a field has an unknown value.
    """

    sampling: str = "align_corners"
    norm: str = "clamp"
    foreground_norm: bool = False
    removed: str = "zero_score"
    divisor: str = "four"
    mask: str = "per_sample"

    def __post_init__(self) -> None:
        values = asdict(self)
        for name, known in CHOICES.items():
            check_choice(name, values[name], known)


class Deviations(TypedDict, total=False):
    """Any of the fields of `Rules`."""

    sampling: str
    norm: str
    foreground_norm: bool
    removed: str
    divisor: str
    mask: str


# The authors' code also reads only the first mask of the batch, but its training uses one mask per batch, so
# "per_sample" gives the same results there.
RULES = {
    "authors": Rules(),
    "port": Rules(sampling="floor", norm="added", mask="first"),
    "mmagic": Rules(sampling="floor", removed="minus_infinity", divisor="overlaps"),
}


@dataclass(frozen=True)
class Setting:
    """All options that define the function of the layer.

    Args:
        rules: differences between the public codes.
        kernel: side of a matching patch, odd.
        rate: downsampling factor for matching; the sides of pasted patches are 2 * rate.
        scale: factor on the scores before the softmax.
        fuse: length of the diagonal sums, by which neighbours support the same shift, odd; 1 = no sums.

    Raises:
        ValueError: if `kernel` or `fuse` is not odd and positive, or `rate` is below 1.
    """

    rules: Rules
    kernel: int = 3
    rate: int = 2
    scale: float = 10.0
    fuse: int = 3

    def __post_init__(self) -> None:
        for name, value in (("kernel", self.kernel), ("fuse", self.fuse)):
            if value < 1 or value % 2 == 0:
                raise ValueError(f"{name} must be an odd number of at least 1, got {value}")
        if self.rate < 1:
            raise ValueError(f"rate must be at least 1, got {self.rate}")

    def small(self, size: Sequence[int]) -> tuple[int, int]:
        """Return the rows and columns of matching positions in a map of the given size."""
        return size[0] // self.rate, size[1] // self.rate


def rules_of(follows: str, **deviations: Unpack[Deviations]) -> Rules:
    """Return the rules of a public code, with some fields replaced.

    Args:
        follows: "authors", "port" or "mmagic".
        deviations: the fields to replace.
    """
    check_choice("follows", follows, RULES)
    return replace(RULES[follows], **deviations)


def resize_nearest(map: Tensor, size: Sequence[int], sampling: str) -> Tensor:
    """Resize maps by nearest neighbour with the index rule of one of the public codes.

    Args:
        map: (..., H, W).
        size: rows h and columns w of the result.
        sampling: row i of the result is row round(i (H - 1) / (h - 1)), computed in float32 with halves rounded up, for
            "align_corners", as in TensorFlow 1; row floor(i H / h) for "floor", as in PyTorch. Columns likewise.
    """
    check_choice("sampling", sampling, CHOICES["sampling"])
    steps = [length // count for length, count in zip(map.shape[-2:], size, strict=True)]
    if sampling == "floor" and [n * step for n, step in zip(size, steps, strict=True)] == list(map.shape[-2:]):
        return map[..., :: steps[0], :: steps[1]]  # a view instead of a gather
    rows, columns = (
        _sources(length, count, sampling, map.device) for length, count in zip(map.shape[-2:], size, strict=True)
    )
    return map[..., rows[:, None], columns]


def _sources(length: int, count: int, sampling: str, device: torch.device) -> Tensor:
    """Return for each of `count` elements the index of its source among `length`, see `resize_nearest`."""
    index = torch.arange(count, device=device)
    if sampling == "floor":
        return index * length // count
    scale = torch.tensor((length - 1) / max(count - 1, 1), dtype=torch.float32, device=device)
    exact = index * scale
    below = exact.floor()
    return (below + (exact - below >= 0.5)).long()


def usable_patches(hole: Tensor, setting: Setting) -> Tensor:
    """Return 1 for background patches without a missing pixel, else 0, (N or 1, h w); holes are (N or 1, 1, H, W)."""
    small = resize_nearest(hole, setting.small(hole.shape[-2:]), setting.rules.sampling)
    touched = F.max_pool2d(small, setting.kernel, 1, setting.kernel // 2)
    return (touched == 0).to(hole.dtype).flatten(1)


def paste_divisor(size: Sequence[int], setting: Setting, like: Tensor) -> Tensor:
    """Return the divisor of the sum of pasted patches, (H, W) or a scalar tensor."""
    if setting.rules.divisor == "four":
        return like.new_tensor(4.0)
    rate, counts = setting.rate, []
    for length in size:
        count = like.new_full((length,), 2.0)
        count[: rate // 2] = count[length - (rate - rate // 2) :] = 1
        counts.append(count)
    return counts[0][:, None] * counts[1]
