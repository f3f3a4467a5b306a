"""Adversarial losses: a generator side and a discriminator side on lists of score tensors.

Each discriminator gives one tensor of scores of any shape. A loss takes the mean over the scores of each tensor and
sums the means. Losses do not depend on networks or optimisers.
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
    """An adversarial loss as `InpaintingModule` calls it.

    Attributes:
        relativistic: whether the generator's side needs the scores of the real pictures; otherwise it gets None.
    """

    relativistic: bool

    def generator(self, fake: Scores, real: Scores | None) -> Tensor: ...

    def discriminator(self, fake: Scores, real: Scores) -> Tensor: ...


class Hinge:
    """Hinge loss (Lim & Ye 2017; SN-PatchGAN of DeepFill v2).

    Args:
        half: halve the discriminator's side, as in the code of DeepFill v2.
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

    Let f and r be the scores of fake and real pictures and E the mean over all scores of the batch. The discriminator
    minimises 1/2 [E(r - E f - 1)^2 + E(f - E r + 1)^2]; the generator minimises the same with f and r exchanged. CSA's
    Eqs. 5 and 6 have leading minus signs, which would push both networks the wrong way.
    """

    relativistic = True

    @in_float32
    def generator(self, fake: Scores, real: Scores | None) -> Tensor:
        if real is None:
            raise ValueError("a relativistic loss needs the scores of the real pictures, got None")
        return torch.stack([self._apart(f, r) for f, r in zip(fake, real, strict=True)]).sum()

    @in_float32
    def discriminator(self, fake: Scores, real: Scores) -> Tensor:
        return torch.stack([self._apart(r, f) for f, r in zip(fake, real, strict=True)]).sum()

    @staticmethod
    def _apart(above: Tensor, below: Tensor) -> Tensor:
        """Return half the squared errors of `above` - mean(`below`) = 1 and `below` - mean(`above`) = -1."""
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
    """Return the mean over the pictures of (|gradient of the scores| - 1)^2 at interpolates (Gulrajani et al. 2017).

    It is computed in float32 also under mixed precision, because it contains a second derivative.

    Args:
        judge: returns the scores of pictures, with the discriminator in training mode. If that has batch norm, a
            picture's scores depend on the other pictures, and the gradient includes this dependence.
        real, fake: (N, 3, H, W); no gradient flows back to them.
        alpha: (N,) or (N, 1, 1, 1), the share of the real picture in the interpolate; None draws it uniformly from
            [0, 1]. The code of DeepFill v1 uses the share of the fake picture instead, real + alpha (fake - real).
        mask: (N, 1, H, W); only the gradient where it is 1 counts (DeepFill v1: the hole).
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
