"""Activations of a mask convolution: the attention map g_A and the mask update g_M of LBAM (Xie et al., ICCV 2019).

Both act element by element on the response M^c of the mask filters, so they are interchangeable; the table of ablations
replaces them by sigmoid, leaky ReLU and ReLU. M^c is 0 inside a hole and, for a filter that sums to one, 1 where all
pixels of the window are known; learned filters can give either sign.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaintlab.errors import check_choice

# Allowed ranges, from the released code (the paper gives none).
RANGES = {"a": (1.01, 6.0), "mu": (0.1, 3.0), "gamma_left": (0.5, 2.0), "gamma_right": (0.5, 2.0)}
PIECE = 1 << 16  # elements computed at a time on a CPU, so that intermediate results stay in its cache
SMALL = 1e-30  # responses up to twice this value count as 0


def _pieces(x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield corresponding slices of two tensors of the same shape; on a GPU the whole tensors."""
    count = 1 if x.is_cuda or not x.dim() else max(1, -(-x.numel() // PIECE))
    if count == 1:
        return iter([(x, y)])
    return zip(x.chunk(count, x.dim() // 2), y.chunk(count, y.dim() // 2), strict=True)


class GaussianAttention(nn.Module):
    """Asymmetric Gaussian, Eq. 9: a exp(-gamma_l (x - mu)^2) below mu, 1 + (a - 1) exp(-gamma_r (x - mu)^2) above.

    It has the maximum a at mu and tends to 0 on the left and to 1 on the right. The four learnable parameters are
    clamped to `RANGES` when weights are loaded and whenever `constrain` is called, which training does after each step
    of the optimiser. The released code clamps them in every forward pass, with the same results.

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
        # Selecting the width first needs one exponential instead of two.
        bell = torch.exp(-torch.where(left, self.gamma_left, self.gamma_right) * (x - self.mu).square())
        return torch.where(left, self.a * bell, 1 + (self.a - 1) * bell)

    def _in_pieces(self, x: Tensor) -> Tensor:
        """Compute the same up to rounding, in place and slice by slice, without gradient."""
        y = torch.empty_like(x)
        for piece, result in _pieces(x, y):
            distance = torch.sub(piece, self.mu, out=result)
            right = torch.ge(distance, 0, out=torch.empty_like(distance))  # 0.0 on the left, 1.0 on the right
            exponent = (right * (self.gamma_left - self.gamma_right)).sub_(self.gamma_left)
            bell = distance.square_().mul_(exponent).exp_()
            bell.mul_(torch.sub(self.a, right, out=exponent)).add_(right)
        return y

    @torch.no_grad()
    def constrain(self) -> None:
        """Clamp the parameters to `RANGES` without recording it in the graph, so that gradients flow at the bounds."""
        for name, parameter in self.named_parameters():
            parameter.clamp_(*RANGES[name])


def _constrain_loaded(module: nn.Module, _: object) -> None:
    assert isinstance(module, GaussianAttention)
    module.constrain()


def constrain(network: nn.Module) -> None:
    """Call `constrain` of every `GaussianAttention` in `network`."""
    for module in network.modules():
        if isinstance(module, GaussianAttention):
            module.constrain()


class PowerUpdate(nn.Module):
    """Mask update of Eq. 8, ReLU(x)^alpha; alpha = 0 is the binary update of partial convolution (Eq. 5).

    The gradient at 0 is 0. The power alone has an infinite slope at 0, a common value inside holes; the backward pass
    of the ReLU discards it.
    """

    def __init__(self, alpha: float = 0.8) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        if self.alpha == 0:
            return (x > 0).to(x.dtype)  # in PyTorch 0^0 is 1
        if torch.is_grad_enabled():
            return torch.relu(x).pow(self.alpha)
        y = torch.empty_like(x)
        for piece, result in _pieces(x, y):
            # Takes a quarter of the time of pow. The logarithm of 0 is slow, hence the clamp.
            torch.clamp(piece, min=SMALL, out=result).log_().mul_(self.alpha).exp_()
            F.threshold(result, (2 * SMALL) ** self.alpha, 0.0, inplace=True)
        return y

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


def _leaky_relu() -> nn.Module:
    return nn.LeakyReLU(0.2)  # inferred: the slope of the network's other leaky ReLUs


_SHARED: dict[str, Callable[[], nn.Module]] = {"sigmoid": nn.Sigmoid, "leaky_relu": _leaky_relu, "relu": nn.ReLU}
ATTENTIONS: dict[str, Callable[..., nn.Module]] = {"gaussian": GaussianAttention, **_SHARED}
UPDATES: dict[str, Callable[[], nn.Module]] = {"power": PowerUpdate, **_SHARED}


def attention(name: str, **initial: float) -> nn.Module:
    """Build the attention activation g_A.

    Args:
        name: one of `ATTENTIONS`.
        initial: initial values of `GaussianAttention`; other activations ignore them.
    """
    check_choice("activation", name, ATTENTIONS)
    return ATTENTIONS[name](**initial) if name == "gaussian" else ATTENTIONS[name]()


def update(name: str) -> nn.Module:
    """Build the mask update g_M; `name` is one of `UPDATES`."""
    check_choice("update_activation", name, UPDATES)
    return UPDATES[name]()
