"""Adversarial losses: a generator side and a discriminator side on lists of score tensors.

A discriminator, or several of them together, judge pictures with one tensor of scores each; every tensor
counts with the mean over its scores, and the means are summed. Losses know no network and no optimiser.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaintlab.losses.precision import in_float32

Scores = Sequence[Tensor]


class Adversarial(Protocol):
    """What `InpaintingModule` asks of an adversarial loss.

    `relativistic` says whether the generator's side wants the scores of the real pictures; it gets None otherwise.
    """

    relativistic: bool

    def generator(self, fake: Scores, real: Scores | None) -> Tensor: ...

    def discriminator(self, fake: Scores, real: Scores) -> Tensor: ...


class Hinge:
    """Hinge loss (Lim & Ye 2017; SN-PatchGAN of DeepFill v2)."""

    relativistic = False

    @staticmethod
    @in_float32
    def generator(fake: Scores, real: Scores | None = None) -> Tensor:
        return torch.stack([-scores.mean() for scores in fake]).sum()

    @staticmethod
    @in_float32
    def discriminator(fake: Scores, real: Scores) -> Tensor:
        sides = [F.relu(1 + f).mean() + F.relu(1 - r).mean() for f, r in zip(fake, real, strict=True)]
        return torch.stack(sides).sum()
