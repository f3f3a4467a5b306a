"""Convolution with spectral normalisation (Miyato et al., ICLR 2018), for discriminators.

The weights, as a matrix W with one row per output channel, are divided by an estimate sigma of their largest singular
value. Each forward pass in training does one step of the power iteration: v = W^T u, u = W v, each scaled to length 1,
then sigma = u^T W v. DeepFill v2's TensorFlow code and `torch.nn.utils.spectral_norm` compute the same values; the
TensorFlow code transposes and reorders the matrix, which changes neither u nor sigma.

As in PyTorch, u and v are constants in the gradient, and evaluation does not change them. The TensorFlow code does the
step in every forward pass, also in evaluation, and differentiates it; the difference fades as u converges.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaintlab.layers.same_conv import same_conv2d


class SpectralConv(nn.Conv2d):
    """Convolution whose weights have spectral norm 1.

    The state has the vectors `u` (outputs,) and `v` (inputs * kernel^2,). Checkpoints of DeepFill v2 contain only u;
    one forward pass in training mode computes v.

    Args:
        inputs, outputs: channels.
        kernel: side of the filters, odd.
        stride: 1 or 2.
        rule: padding, see `same_conv`.
    """

    u: Tensor
    v: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, rule: str = "same") -> None:
        super().__init__(inputs, outputs, kernel, stride)
        self.rule = rule
        self.register_buffer("u", F.normalize(torch.randn(outputs), dim=0))
        self.register_buffer("v", F.normalize(torch.randn(inputs * kernel**2), dim=0))

    def forward(self, x: Tensor) -> Tensor:
        return same_conv2d(x, self.normalised(), self.bias, stride=self.stride[0], rule=self.rule)

    def normalised(self) -> Tensor:
        """Return the weights divided by sigma, in float32 also under mixed precision; in training update u and v."""
        with torch.autocast(self.weight.device.type, enabled=False):
            matrix = self.weight.flatten(1)
            if self.training:
                with torch.no_grad():
                    self.v.copy_(F.normalize(matrix.t() @ self.u, dim=0))
                    self.u.copy_(F.normalize(matrix @ self.v, dim=0))
            # Copies, because the next forward pass may update u and v before this one's backward pass.
            return self.weight / torch.dot(self.u.clone(), matrix @ self.v.clone())
