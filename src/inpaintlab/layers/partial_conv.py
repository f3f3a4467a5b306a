"""Convolutions that know which inputs are valid."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from inpaintlab.layers.mask_update import PartialMaskUpdate


class PartialConv2d(nn.Conv2d):
    """Partial convolution (Liu et al., ECCV 2018, Eqs. 1 and 2), equal to the released layer.

    x' = (W^T (x . M) sum(1) / sum(M) + b) where the window holds a valid element, else 0; sums run over the window
    and the mask's channels.

    Args:
        inputs, outputs, kernel, stride, padding, dilation, bias: as for any convolution.
        planes: for how many consecutive feature channels each channel of the mask stands (see `PartialMaskUpdate`):
            (1,) for one mask over all features, (C1, C2) behind a concatenation of C1 and C2 channels, (1,) * inputs
            for a mask of its own per channel.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        bias: bool = False,
        planes: Sequence[int] = (1,),
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding, dilation, bias=bias)
        if len(planes) > 1 and sum(planes) != inputs:
            raise ValueError(f"planes={tuple(planes)} stand for {sum(planes)} channels, the features have {inputs}")
        self.planes = tuple(planes)
        self.update = PartialMaskUpdate(planes, kernel, stride, padding, dilation)

    def forward(self, features: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Features and the updated mask.

        Args:
            features: (N, inputs, H, W).
            valid: (N, len(planes), H, W), 1 = valid; or None for all valid, where only the border is corrected.

        Returns:
            (N, outputs, H', W'), and the mask (N, 1, H', W') that all of these channels share; (1, 1, H', W') where
            no mask was given.
        """
        if valid is None:
            ratio, valid = self.update(features.new_ones(1, len(self.planes), *features.shape[-2:]))
        else:
            features = self._masked(features, valid)
            ratio, valid = self.update(valid)
        result = self._conv_forward(features, self.weight, None) * ratio
        if self.bias is not None:
            # Where nothing is valid the result is 0, without bias.
            result = (result + self.bias[:, None, None]) * valid
        return result, valid

    def _masked(self, features: Tensor, valid: Tensor) -> Tensor:
        valid = valid.to(features.dtype)
        if len(self.planes) in (1, features.shape[1]):
            return features * valid
        parts = zip(torch.split(features, list(self.planes), 1), torch.split(valid, 1, 1), strict=True)
        return torch.cat([part * plane for part, plane in parts], 1)
