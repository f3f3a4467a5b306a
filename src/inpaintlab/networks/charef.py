"""Inpainting through contextual attention (Charef & Ouqour, ETASR 2024), with our choices for what the paper omits.

The paper states a coarse and a refinement network, a softmax over positions (Eq. 1) and six steps of contextual
attention (Fig. 2). It does not state layers, widths, where alpha enters, or the kind of similarity, and no code exists.
The network here is that of GConv (`gconv`, the authors' code) with a `PositionGate` before the decoder, so that Eq. 1
is the difference between the two. Every assumption is an option.

With `gate=None` the defaults differ from GConv's generator in the attention only: scores are not propagated between
neighbours (Fig. 2 has no such step), the similarity is the cosine, patches that touch the hole are excluded from the
softmax, and overlaps are averaged. With `attention_follows="gconv", propagation=True` nothing differs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from inpaintlab.errors import check_choice
from inpaintlab.layers.contextual import ContextualAttention, Deviations
from inpaintlab.layers.position_gate import PositionGate
from inpaintlab.networks.coarse_to_fine import REFINEMENT_INPUTS, CoarseToFine
from inpaintlab.networks.coarse_to_fine_stages import OneBranch, Stage, Style, TwoBranches, base_width
from inpaintlab.networks.gconv import INITIAL

# Differences from the contextual attention of GConv's authors.
ATTENTION_FOLLOWS: dict[str, Deviations] = {
    "paper": {"foreground_norm": True, "removed": "minus_infinity", "divisor": "overlaps"},
    "gconv": {},
}


class Generator(CoarseToFine):
    """The network specified for Charef & Ouqour (4,052,670 parameters); all options are assumptions.

    Args:
        gate: use of the weights of Eq. 1: "scale", "residual", "pool" or "literal" (see `PositionGate`), or None.
        gate_score: f of Eq. 1, "linear" or "two_layers".
        gate_domain: positions of the softmax, "all" or "known".
        gate_where: places of gates: "merged", before the refinement's decoder; "convolution" and "attention", at the
            end of that branch; "coarse", before the coarse network's decoder.
        attention: layer of the attention branch, "contextual" or "none".
        attention_follows: "paper", the six steps of Fig. 2 as above, or "gconv", the code of GConv's authors.
        propagation: propagate scores between neighbours, which is not one of the six steps.
        attend: use the result of the attention at "all" positions, as the cited design does, or in the "hole" only.
        patch, rate, scale: options of the attention, see `ContextualAttention`.
        convolution: "gated", or "plain" with base width 32 instead of 24, as in DeepFill v1.
        refinement_input: input of the refinement, "image", "image_hole" or "image_ones_hole".
        stages: 2, or 1 for the coarse network alone, where a gate is possible at "coarse" only.
        passes: number of times that the refinement is applied ("iteratively"), 1 to 3.
        detach_coarse: do not train the coarse network with the losses of the refinement.
        initial: "authors" or "preserving", see `gconv.Generator`.
        width: factor on all numbers of channels, for small trials.
    """

    def __init__(
        self,
        *,
        gate: str | None = "scale",
        gate_score: str = "linear",
        gate_domain: str = "all",
        gate_where: Sequence[str] = ("merged",),
        attention: str = "contextual",
        attention_follows: str = "paper",
        propagation: bool = False,
        attend: str = "all",
        patch: int = 3,
        rate: int = 2,
        scale: float = 10.0,
        convolution: str = "gated",
        refinement_input: str = "image",
        stages: int = 2,
        passes: int = 1,
        detach_coarse: bool = False,
        initial: str = "authors",
        width: float = 1.0,
    ) -> None:
        check_choice("attention", attention, ("contextual", "none"))
        check_choice("attention_follows", attention_follows, ATTENTION_FOLLOWS)
        check_choice("attend", attend, ("all", "hole"))
        check_choice("convolution", convolution, ("gated", "plain"))
        check_choice("initial", initial, INITIAL)
        check_choice("refinement_input", refinement_input, REFINEMENT_INPUTS)
        if stages not in (1, 2) or passes not in (1, 2, 3):
            raise ValueError(f"stages must be 1 or 2 and passes 1, 2 or 3; got stages={stages}, passes={passes}")
        style = Style(rule="same", gated=convolution == "gated", sampling="align_corners")
        c = base_width(24 if style.gated else 32, width)
        patches = ContextualAttention(
            kernel=patch,
            rate=rate,
            scale=scale,
            fuse=3 if propagation else 1,
            **ATTENTION_FOLLOWS[attention_follows],
        )
        first, second = OneBranch(style, 5, c), None
        if stages == 2:
            layer = patches if attention == "contextual" else None
            second = TwoBranches(style, REFINEMENT_INPUTS[refinement_input], c, layer, hole_only=attend == "hole")
        super().__init__(
            first, second, torch.tanh, refinement_input=refinement_input, passes=passes, detach=detach_coarse
        )
        self.multiple = 4 * rate
        INITIAL[initial](self)
        if gate is not None:
            places: dict[str, tuple[Stage, str]] = {"coarse": (first, "encoder")}
            if second is not None:
                places |= {name: (second, name) for name in ("merged", "convolution", "attention")}
            for place in gate_where:
                check_choice("gate_where", place, places)
                stage, part = places[place]
                channels = 8 * c if place == "merged" else 4 * c
                stage.gates[part] = PositionGate(channels, use=gate, score=gate_score, domain=gate_domain)
