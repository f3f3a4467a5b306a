"""The two-stage network that DeepFill v1, GConv (DeepFill v2) and Charef & Ouqour's network share.

A coarse network fills the hole. Its result is pasted into the known pixels and refined by a second network, which has
two encoders, one with dilated convolutions and one with patch attention, and one decoder. The systems differ in width,
kind of convolution, last activation, and the input of the second stage.

Convention of these papers, kept inside these files: pictures in [-1, 1], zeros (mid-grey) in the hole, mask 1 =
missing, and a channel of ones that marks the border for convolutions with zero padding.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from inpaintlab.batch import Output
from inpaintlab.image import empty_hole
from inpaintlab.layers.coherent import CoherentAttention
from inpaintlab.layers.contextual import ContextualAttention
from inpaintlab.networks.coarse_to_fine_stages import Stage, TwoBranches
from inpaintlab.networks.patch_views import PatchAttention, PatchAttentionGenerator

REFINEMENT_INPUTS = {"image": 3, "image_hole": 4, "image_ones_hole": 5}

# Builders of patch attention for the attention branch, by name; their argument is the code that is followed.
ATTENTIONS: dict[str, Callable[[str], nn.Module | None]] = {
    "contextual": lambda follows: ContextualAttention(follows=follows, mask="per_sample"),
    "csa": lambda follows: CoherentAttention(),
    "none": lambda follows: None,
}


class CoarseToFine(PatchAttentionGenerator):
    """Generator of two stages.

    Args:
        coarse: takes five channels: picture, ones, hole.
        refinement: takes the picture with the coarse result in the hole, alone or with hole and ones; or None.
        squash: maps the results of both stages into [-1, 1].
        refinement_input: a key of `REFINEMENT_INPUTS`.
        passes: number of times that the refinement is applied, each time to its own result.
        detach: stop the gradient from the refinement to the coarse network.
    """

    multiple = 8

    def __init__(
        self,
        coarse: Stage,
        refinement: Stage | None,
        squash: Callable[[Tensor], Tensor],
        *,
        refinement_input: str = "image_ones_hole",
        passes: int = 1,
        detach: bool = False,
    ) -> None:
        super().__init__()
        self.coarse, self.refinement, self.squash = coarse, refinement, squash
        self.refinement_input, self.passes, self.detach = refinement_input, passes, detach
        self.detect_attention()

    def forward(self, image: Tensor, hole: Tensor) -> Output:
        """Predict whole pictures; see `InpaintingGenerator.forward`.

        Returns:
            The results of both stages, in [0, 1]. Without refinement, `image` is that of the coarse network and
            `coarse` is None.
        """
        self.require_size(hole)
        known, ones = empty_hole(2 * image - 1, hole), torch.ones_like(hole)
        first = self.squash(self.coarse(torch.cat([known, ones, hole], 1), hole).to(image.dtype))
        if self.refinement is None:
            return Output(image=(first + 1) / 2)
        extra = {"image": [], "image_hole": [hole], "image_ones_hole": [ones, hole]}[self.refinement_input]
        self.request_maps()
        second = first.detach() if self.detach else first
        for _ in range(self.passes):
            pasted = torch.where(hole > 0.5, second, known)
            second = self.squash(self.refinement(torch.cat([pasted, *extra], 1), hole).to(image.dtype))
        return Output(image=(second + 1) / 2, coarse=(first + 1) / 2, attention=self.kept_maps(image.dtype))

    def attention_layer(self) -> PatchAttention | None:
        """Return the attention layer of the refinement, if it has one."""
        layer = self.refinement.attention if isinstance(self.refinement, TwoBranches) else None
        return layer if isinstance(layer, (ContextualAttention, CoherentAttention)) else None
