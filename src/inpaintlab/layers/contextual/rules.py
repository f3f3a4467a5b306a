"""What the public codes of contextual attention do differently, and what all ways to compute it share.

Three codes of the layer of DeepFill (Yu et al., CVPR 2018) are in use: the authors' in TensorFlow ("authors"), the
PyTorch port ("port") and mmagic's ("mmagic"). They differ in the choices of `Rules`; weights that were trained with one
code give other pictures with the rules of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
        sampling: nearest neighbour when maps are made smaller: "align_corners" or "floor" (see `resize_nearest`).
        norm: of a matching patch: "clamp", max(norm, 1e-4), or "added", where 1e-4 is added to each squared element.
        foreground_norm: divide the scores by the norm of the foreground's patch too: the cosine that the paper's
            formula shows. No released code does.
        removed: a background patch that touches the hole has the score 0 before the softmax, so that it counts in the
            denominator, and no weight after it ("zero_score"); or it takes no part at all ("minus_infinity").
        divisor: of the pasted patches' sum: "four", the number of patches over a pixel inside the map, which makes
            the border darker, or "overlaps", each pixel's own number.
        mask: "per_sample", or "first" of the batch for all its samples.
    """

    sampling: str = "align_corners"
    norm: str = "clamp"
    foreground_norm: bool = False
    removed: str = "zero_score"
    divisor: str = "four"
    mask: str = "per_sample"

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            value = getattr(self, name)
            check_choice(name, value, known)


class Deviations(TypedDict, total=False):
    """Any of the fields of `Rules`."""

    sampling: str
    norm: str
    foreground_norm: bool
    removed: str
    divisor: str
    mask: str


# The authors' code reads the first mask of the batch as well, but trains with one mask per batch, where that is the
# same as each sample's own.
RULES = {
    "authors": Rules(),
    "port": Rules(sampling="floor", norm="added", mask="first"),
    "mmagic": Rules(sampling="floor", removed="minus_infinity", divisor="overlaps"),
}


@dataclass(frozen=True)
class Setting:
    """Everything that defines the layer's function.

    Args:
        kernel: side of a matching patch, odd.
        rate: maps are made smaller by this factor for matching; pasted patches have sides of twice the rate.
        scale: of the scores before the softmax.
        fuse: length of the diagonal sums that let neighbours vote for the same shift, odd; 1 leaves them out.
    """

    rules: Rules
    kernel: int = 3
    rate: int = 2
    scale: float = 10.0
    fuse: int = 3

    def __post_init__(self) -> None:
        for name in ("kernel", "fuse"):
            value = getattr(self, name)
            if value < 1 or value % 2 == 0:
                raise ValueError(f"{name}={value} is not an odd number of at least 1")
        if self.rate < 1:
            raise ValueError(f"rate={self.rate} is below 1")

    def small(self, size: Sequence[int]) -> tuple[int, int]:
        """Rows and columns of the positions that are matched in a map of that size."""
        return size[0] // self.rate, size[1] // self.rate


def rules_of(follows: str, **deviations: Unpack[Deviations]) -> Rules:
    """Return the rules of a code, with the fields replaced in which they are to differ.

    Args:
        follows: "authors", "port" or "mmagic".
        deviations: fields of `Rules`.
    """
    check_choice("follows", follows, RULES)
    return replace(RULES[follows], **deviations)


def resize_nearest(map: Tensor, size: Sequence[int], sampling: str) -> Tensor:
    """Nearest neighbour, with the index rule of the code that a system follows.

    Args:
        map: (..., H, W).
        size: rows and columns of the result.
        sampling: "align_corners" takes row round(i (H - 1) / (h - 1)) in float32, halves away from zero, as
            TensorFlow 1 does; "floor" takes row floor(i H / h), as PyTorch does.
    """
    check_choice("sampling", sampling, CHOICES["sampling"])
    steps = [length // count for length, count in zip(map.shape[-2:], size, strict=True)]
    if sampling == "floor" and [n * step for n, step in zip(size, steps, strict=True)] == list(map.shape[-2:]):
        return map[..., :: steps[0], :: steps[1]]  # the same without a gather
    rows, columns = (
        _sources(length, count, sampling, map.device) for length, count in zip(map.shape[-2:], size, strict=True)
    )
    return map[..., rows[:, None], columns]


def _sources(length: int, count: int, sampling: str, device: torch.device) -> Tensor:
    """Which of `length` elements each of `count` takes, as `resize_nearest` says."""
    index = torch.arange(count, device=device)
    if sampling == "floor":
        return index * length // count
    scale = torch.tensor((length - 1) / max(count - 1, 1), dtype=torch.float32, device=device)
    exact = index * scale
    below = exact.floor()
    return (below + (exact - below >= 0.5)).long()


def usable_patches(hole: Tensor, setting: Setting) -> Tensor:
    """1 for each background patch without a missing pixel, else 0: (N or 1, h w) from holes (N or 1, 1, H, W)."""
    small = resize_nearest(hole, setting.small(hole.shape[-2:]), setting.rules.sampling)
    touched = F.max_pool2d(small, setting.kernel, 1, setting.kernel // 2)
    return (touched == 0).to(hole.dtype).flatten(1)


def paste_divisor(size: Sequence[int], setting: Setting, like: Tensor) -> Tensor:
    """What the sum of the pasted patches is divided by: (H, W), or a single number."""
    if setting.rules.divisor == "four":
        return like.new_tensor(4.0)
    rate, counts = setting.rate, []
    for length in size:
        count = like.new_full((length,), 2.0)
        count[: rate // 2] = count[length - (rate - rate // 2) :] = 1
        counts.append(count)
    return counts[0][:, None] * counts[1]
