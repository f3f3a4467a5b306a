"""Partial convolution."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from inpaintlab.layers.mask_update import PartialMaskUpdate


class PartialConv2d(nn.Conv2d):
    """Partial convolution (Liu et al., ECCV 2018, Eqs. 1 and 2), equal to the released layer.

    x' = W^T (x . M) sum(1) / sum(M) + b where the window has a valid element, and 0 elsewhere; the sums run over the
    window and the channels of the mask.

    Args:
        inputs, outputs, kernel, stride, padding, dilation, bias: as for `nn.Conv2d`.
        planes: number of consecutive feature channels for which each channel of the mask stands (see
            `PartialMaskUpdate`): (1,) for one mask for all features, (C1, C2) after a concatenation of C1 and C2
            channels, (1,) * inputs for one mask per channel.
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
            raise ValueError(f"planes must sum to the {inputs} channels of the features, got {tuple(planes)}")
        self.planes = tuple(planes)
        self.update = PartialMaskUpdate(planes, kernel, stride, padding, dilation)

    def forward(self, features: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Convolve the valid features and update the mask.

        Args:
            features: (N, inputs, H, W).
            valid: (N, len(planes), H, W), 1 = valid; None if all features are valid, so that only the padding counts
                as hole.

        Returns:
            The features (N, outputs, H', W') and their mask (N, 1, H', W'); (1, 1, H', W') if `valid` is None.
        """
        if valid is None:
            ratio, valid = self.update(features.new_ones(1, len(self.planes), *features.shape[-2:]))
        else:
            features = self._masked(features, valid)
            ratio, valid = self.update(valid)
        result = self._conv_forward(features, self.weight, None) * ratio
        if self.bias is not None:
            # Where nothing is valid the output is 0, so the bias is masked too.
            result = (result + self.bias[:, None, None]) * valid
        return result, valid

    def _masked(self, features: Tensor, valid: Tensor) -> Tensor:
        valid = valid.to(features.dtype)
        if len(self.planes) in (1, features.shape[1]):
            return features * valid
        parts = zip(torch.split(features, list(self.planes), 1), torch.split(valid, 1, 1), strict=True)
        return torch.cat([part * plane for part, plane in parts], 1)
