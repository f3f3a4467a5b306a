"""Activations of a mask convolution: the attention map g_A and the mask update g_M of LBAM (Xie et al., ICCV 2019).

Both act element by element on the response M^c of the mask filters, so any of them can stand in either place; the
table of ablations replaces them by sigmoid, leaky ReLU and ReLU. Units: M^c is about 1 where a window of ones meets a
filter that sums to one, 0 inside a hole, and of either sign once the filters have learned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaintlab.errors import check_choice

# Allowed ranges, from the released code (the paper gives none).
RANGES = {"a": (1.01, 6.0), "mu": (0.1, 3.0), "gamma_left": (0.5, 2.0), "gamma_right": (0.5, 2.0)}


PIECE = 1 << 16  # elements worked on at a time, so that what is computed in between stays in a core's cache
SMALL = 1e-30  # of a response


def _pieces(x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Corresponding views of two tensors of one shape, cut along the rows of maps (N, C, H, W); whole on a GPU."""
    count = 1 if x.is_cuda or not x.dim() else max(1, -(-x.numel() // PIECE))
    if count == 1:
        return iter([(x, y)])
    return zip(x.chunk(count, x.dim() // 2), y.chunk(count, y.dim() // 2), strict=True)


class GaussianAttention(nn.Module):
    """Asymmetric Gaussian, Eq. 9: a exp(-gamma_l (x - mu)^2) below mu, 1 + (a - 1) exp(-gamma_r (x - mu)^2) above.

    It peaks at mu with the value a, tends to 0 on the left and to 1 on the right. The four learnable numbers are kept
    in `RANGES`: after loading by themselves, after an optimiser's step when `constrain` is called. The released code
    clamps them in every forward pass instead, which comes to the same.

    Args:
        a, mu, gamma_left, gamma_right: initial values; the defaults are the paper's.
    """

    def __init__(self, a: float = 1.1, mu: float = 2.0, gamma_left: float = 1.0, gamma_right: float = 1.0) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))
        self.mu = nn.Parameter(torch.tensor(mu))
        self.gamma_left = nn.Parameter(torch.tensor(gamma_left))
        self.gamma_right = nn.Parameter(torch.tensor(gamma_right))
        self.register_load_state_dict_post_hook(_constrain_loaded)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return self._in_pieces(x)
        left = x < self.mu
        # One exponential with the side's own width, instead of one per side and a selection.
        bell = torch.exp(-torch.where(left, self.gamma_left, self.gamma_right) * (x - self.mu).square())
        return torch.where(left, self.a * bell, 1 + (self.a - 1) * bell)

    def _in_pieces(self, x: Tensor) -> Tensor:
        """The same to rounding, in place and without leaving the cache."""
        y = torch.empty_like(x)
        for piece, result in _pieces(x, y):
            distance = torch.sub(piece, self.mu, out=result)
            right = torch.ge(
                distance, 0, out=torch.empty_like(distance)
            )  # as numbers, 0 on the left and 1 on the right
            exponent = (right * (self.gamma_left - self.gamma_right)).sub_(self.gamma_left)
            bell = distance.square_().mul_(exponent).exp_()
            bell.mul_(torch.sub(self.a, right, out=exponent)).add_(right)
        return y

    @torch.no_grad()
    def constrain(self) -> None:
        """Clamp the four numbers into `RANGES`, outside the graph: gradients still flow at the bounds."""
        for name, (low, high) in RANGES.items():
            getattr(self, name).clamp_(low, high)


def _constrain_loaded(module: nn.Module, _: object) -> None:
    assert isinstance(module, GaussianAttention)
    module.constrain()


def constrain(network: nn.Module) -> None:
    """`GaussianAttention.constrain` for all of them in `network`."""
    for module in network.modules():
        if isinstance(module, GaussianAttention):
            module.constrain()


class PowerUpdate(nn.Module):
    """Mask update of Eq. 8, ReLU(x)^alpha; alpha = 0 is the binary update of partial convolution (Eq. 5).

    The gradient at 0 is 0. Zeros are common (any window inside a hole), and the power alone has an infinite slope
    there, which the ReLU's backward discards.
    """

    def __init__(self, alpha: float = 0.8) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        if self.alpha == 0:
            return (x > 0).to(x.dtype)  # torch's 0^0 is 1
        if torch.is_grad_enabled():
            return torch.relu(x).pow(self.alpha)
        y = torch.empty_like(x)
        for piece, result in _pieces(x, y):
            # A quarter of the power's time; not from 0 itself, where the logarithm is slow.
            torch.clamp(piece, min=SMALL, out=result).log_().mul_(self.alpha).exp_()
            F.threshold(result, (2 * SMALL) ** self.alpha, 0.0, inplace=True)
        return y

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


def _leaky_relu() -> nn.Module:
    return nn.LeakyReLU(0.2)  # the slope is inferred from the network's own


_SHARED: dict[str, Callable[[], nn.Module]] = {"sigmoid": nn.Sigmoid, "leaky_relu": _leaky_relu, "relu": nn.ReLU}
ATTENTIONS: dict[str, Callable[..., nn.Module]] = {"gaussian": GaussianAttention, **_SHARED}
UPDATES: dict[str, Callable[[], nn.Module]] = {"power": PowerUpdate, **_SHARED}


def attention(name: str, **initial: Any) -> nn.Module:
    """The attention activation g_A called `name`; `initial` are the numbers of a Gaussian, unused by the others."""
    check_choice("activation", name, ATTENTIONS)
    return ATTENTIONS[name](**initial) if name == "gaussian" else ATTENTIONS[name]()


def update(name: str) -> nn.Module:
    """The mask update g_M called `name`."""
    check_choice("update_activation", name, UPDATES)
    return UPDATES[name]()
