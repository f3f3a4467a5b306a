"""Adversarial losses: a generator side and a discriminator side on lists of score tensors.

A discriminator, or several of them together, judge pictures with one tensor of scores each; every tensor
counts with the mean over its scores, and the means are summed. Losses know no network and no optimiser.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaintlab.errors import check_choice
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
    """Hinge loss (Lim & Ye 2017; SN-PatchGAN of DeepFill v2).

    Args:
        half: the discriminator's side counts half, as in the code of DeepFill v2.
    """

    relativistic = False

    def __init__(self, half: bool = False) -> None:
        self.share = 0.5 if half else 1.0

    @staticmethod
    @in_float32
    def generator(fake: Scores, real: Scores | None = None) -> Tensor:
        return torch.stack([-scores.mean() for scores in fake]).sum()

    @in_float32
    def discriminator(self, fake: Scores, real: Scores) -> Tensor:
        sides = [F.relu(1 + f).mean() + F.relu(1 - r).mean() for f, r in zip(fake, real, strict=True)]
        return self.share * torch.stack(sides).sum()


FOLLOWS = ("paper", "authors")


class Wasserstein:
    """Wasserstein loss (Arjovsky et al. 2017; LBAM, Eq. 17), without its gradient penalty.

    Args:
        follows: "paper": the discriminator minimises D(fake) - D(real), the generator -D(fake). "authors": the signs
            of LBAM's code, D(fake) + D(real) and +D(fake), with which the discriminator lowers both scores; only to
            reproduce that code.
    """

    relativistic = False

    def __init__(self, follows: str = "paper") -> None:
        check_choice("follows", follows, FOLLOWS)
        self.sign = -1 if follows == "paper" else 1

    @in_float32
    def generator(self, fake: Scores, real: Scores | None = None) -> Tensor:
        return self.sign * torch.stack([scores.mean() for scores in fake]).sum()

    @in_float32
    def discriminator(self, fake: Scores, real: Scores) -> Tensor:
        sides = [f.mean() + self.sign * r.mean() for f, r in zip(fake, real, strict=True)]
        return torch.stack(sides).sum()


class RelativisticLeastSquares:
    """Relativistic average least squares (Jolicoeur-Martineau 2019), halved as CSA's code has it.

    With f and r the scores of fake and real pictures and E the mean over all scores of the batch, the discriminator
    minimises 1/2 [E(r - E f - 1)^2 + E(f - E r + 1)^2], the generator the same with both ones' signs turned. CSA's
    Eqs. 5 and 6 have leading minus signs, with which both would be pushed the wrong way.
    """

    relativistic = True

    @in_float32
    def generator(self, fake: Scores, real: Scores | None) -> Tensor:
        if real is None:
            raise ValueError("a relativistic loss needs the scores of the real pictures too")
        return torch.stack([self._apart(f, r) for f, r in zip(fake, real, strict=True)]).sum()

    @in_float32
    def discriminator(self, fake: Scores, real: Scores) -> Tensor:
        return torch.stack([self._apart(r, f) for f, r in zip(fake, real, strict=True)]).sum()

    @staticmethod
    def _apart(above: Tensor, below: Tensor) -> Tensor:
        """How far the scores are from lying by 1 above the mean of the others, and those below."""
        up = (above - below.mean() - 1).square().mean()
        down = (below - above.mean() + 1).square().mean()
        return (up + down) / 2


@in_float32
def gradient_penalty(
    judge: Callable[[Tensor], Scores],
    real: Tensor,
    fake: Tensor,
    alpha: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Mean over the pictures of (|gradient of the scores| - 1)^2 at random interpolates (Gulrajani et al. 2017).

    In float32 also under mixed precision: it is a derivative of a derivative, and its target is a length of 1.

    Args:
        judge: the scores of pictures, with the discriminator in the mode that it trains in; batch norm there lets
            one picture's scores depend on the others, which the penalty then sees.
        real, fake: (N, 3, H, W); no gradient flows back to them.
        alpha: (N,) or (N, 1, 1, 1), share of the real picture in the interpolate; None draws it uniformly. The code
            of DeepFill v1 counts the share of the fake instead, real + alpha (fake - real).
        mask: (N, 1, H, W); only the part of the gradient where it is 1 counts (DeepFill v1: the hole).
    """
    if alpha is None:
        alpha = torch.rand(len(real), device=real.device)
    with torch.enable_grad():
        real, fake, alpha = real.detach(), fake.detach(), alpha.view(-1, 1, 1, 1)
        mixed = (alpha * real + (1 - alpha) * fake).requires_grad_()
        scores = torch.cat([s.flatten() for s in judge(mixed)]).sum()
        (slope,) = torch.autograd.grad(scores, mixed, create_graph=True)
        if mask is not None:
            slope = slope * mask
        return (slope.flatten(1).norm(dim=1) - 1).square().mean()
