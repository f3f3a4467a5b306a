"""MSA-Net's training: L2, perceptual and style terms on the network's own features (Qin et al. 2020, section 3.5).

The features F_i^GT come from the same network, applied to the original picture without a hole (the paper does not
state the mask of that pass). The gradient flows through both passes: with the second pass detached no trial run
trained. There is no released code.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from inpaintlab.batch import Batch, Output
from inpaintlab.errors import check_choice
from inpaintlab.losses.feature import perceptual, style
from inpaintlab.losses.reconstruction import distance
from inpaintlab.training.module import InpaintingModule

NORMS = ("mse", "literal")  # readings of Eqs. 11 and 12
L2_ON = ("raw", "composite")


class MSANet(InpaintingModule):
    """Eq. 16: L = L_2 + 0.001 L_perc + 250 L_style; the weights stand in `conf/model/msanet.yaml`.

    Args:
        norm: distance of Eqs. 11 and 12, "mse" or "literal" (see `losses.reconstruction.distance`).
        l2_on: what Eq. 11 compares with the truth, the "raw" output or the "composite". Inferred: "raw".
        layers: how many of the features (MSAG output, U_1, U_2, U_3) are compared, counted from the first; 1 to 4.
            Inferred: 3, from "0 < i <= 3".
        options: see `InpaintingModule`.
    """

    terms: ClassVar[tuple[str, ...]] = ("l2", "perceptual", "style")

    def __init__(self, *, norm: str = "mse", l2_on: str = "raw", layers: int = 3, **options: Any) -> None:
        super().__init__(**options)
        check_choice("norm", norm, NORMS)
        check_choice("l2_on", l2_on, L2_ON)
        if not 1 <= layers <= 4:
            raise ValueError(f"layers must be 1 to 4, got {layers}")
        self.norm, self.l2_on, self.layers = norm, l2_on, layers

    def generator_terms(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        original = self(batch.image, torch.zeros_like(batch.hole))
        features, targets = output.features[: self.layers], original.features[: self.layers]
        # Smaller features lower the perceptual and style terms; only L2 prevents this, so their size is logged.
        self.note("feature_rms", torch.stack([f.detach().float().square().mean() for f in features]).mean().sqrt())
        filled = output.image if self.l2_on == "raw" else self.composite(batch, output)
        return {
            "l2": distance(filled, batch.image, self.norm),
            "perceptual": perceptual(features, targets, self.norm),
            "style": style(features, targets),
        }
