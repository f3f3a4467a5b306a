"""Convolution with spectral normalisation (Miyato et al., ICLR 2018), for discriminators.

The weights, as a matrix W of one row per output map, are divided by an estimate of their largest singular value. One
step of the power iteration per run in training improves it: v = W^T u, u = W v, each scaled to length 1, and then
sigma = u^T W v. DeepFill v2's TensorFlow code and `torch.nn.utils.spectral_norm` compute these same values: that the
former's matrix is transposed and ordered differently changes neither u nor sigma.

As in torch, u and v count as constants in the gradient, and evaluation changes nothing. The TensorFlow code steps
at every run, evaluation included, and differentiates the step too; its effect fades as u converges.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaintlab.layers.same_conv import same_conv2d


class SpectralConv(nn.Conv2d):
    """Convolution whose weights have spectral norm 1; its padding follows a rule of `same_conv`.

    State: `u` (outputs,) and `v` (inputs * kernel^2,). Checkpoints of DeepFill v2 hold u alone; one run in training
    mode after reading them gives v.
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
        """The weights divided by sigma, in float32 also under mixed precision; steps in training mode."""
        with torch.autocast(self.weight.device.type, enabled=False):
            matrix = self.weight.flatten(1)
            if self.training:
                with torch.no_grad():
                    self.v.copy_(F.normalize(matrix.t() @ self.u, dim=0))
                    self.u.copy_(F.normalize(matrix @ self.v, dim=0))
            # Copies, since the next run steps before the gradient of this one is taken.
            return self.weight / torch.dot(self.u.clone(), matrix @ self.v.clone())
