"""Inpainting through contextual attention (Charef & Ouqour, ETASR 2024): a specification of what they leave open.

The paper states a coarse and a refinement network, a softmax over positions (Eq. 1) and the six steps of contextual
attention (Fig. 2). Layers, widths, where alpha enters, kind of similarity: nothing of this is stated, and no code
exists. The network here is GConv's (`gconv`, the authors' variant) with `PositionGate` in front of the decoder, so
that Eq. 1 is what sets the two apart. Every assumption is an option.

With `gate=None` the defaults differ from GConv's generator in the attention only: no propagation of scores between
neighbours (Fig. 2 has no such step), cosine similarity, removed patches outside the softmax, and overlaps averaged;
`attention_follows="gconv", propagation=True` leaves no difference.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from inpaintlab.layers.contextual import ContextualAttention, Deviations
from inpaintlab.layers.position_gate import PositionGate
from inpaintlab.networks.coarse_to_fine import (
    REFINEMENT_INPUTS,
    CoarseToFine,
    OneBranch,
    Stage,
    Style,
    TwoBranches,
    channels,
    one_of,
)
from inpaintlab.networks.gconv import INITIAL

# How contextual attention differs from that of GConv's authors.
ATTENTION_FOLLOWS: dict[str, Deviations] = {
    "paper": {"foreground_norm": True, "removed": "minus_infinity", "divisor": "overlaps"},
    "gconv": {},
}


class Generator(CoarseToFine):
    """The network specified for Charef & Ouqour (4,052,670 parameters); all options are assumptions.

    Args:
        gate: use of Eq. 1's weights, "scale", "residual", "pool" or "literal" (see `PositionGate`); None = no gate.
        gate_score: f of Eq. 1, "linear" or "two_layers".
        gate_domain: positions that the softmax runs over, "all" or "known".
        gate_where: where gates stand: "merged", in front of the refinement's decoder; "convolution" and "attention",
            at the end of that branch; "coarse", in front of the coarse network's decoder.
        attention: "contextual", or "none", which leaves its branch without it.
        attention_follows: "paper", the six steps of Fig. 2 as above, or "gconv", the code of GConv's authors.
        propagation: of scores between neighbours, which the six steps do not have.
        attend: use the rebuilt features at "all" positions, as the cited design does, or in the "hole" only.
        patch, rate, scale: of the attention, see `ContextualAttention`.
        convolution: "gated", or "plain" with 32 maps instead of 24, as in DeepFill v1.
        refinement_input: "image", "image_hole" or "image_ones_hole".
        stages: 1 for the coarse network alone; without gate, or with one in the coarse network.
        passes: how often the refinement is applied ("iteratively"), 1 to 3.
        detach_coarse: the refinement's losses do not train the coarse network.
        initial: "authors", as GConv's, or "preserving", see there.
        width: factor on all numbers of maps, for small trials.
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
        one_of("attention", attention, ("contextual", "none"))
        one_of("attention_follows", attention_follows, ATTENTION_FOLLOWS)
        one_of("attend", attend, ("all", "hole"))
        one_of("convolution", convolution, ("gated", "plain"))
        one_of("initial", initial, INITIAL)
        one_of("refinement_input", refinement_input, REFINEMENT_INPUTS)
        if stages not in (1, 2) or passes not in (1, 2, 3):
            raise ValueError(f"stages={stages} must be 1 or 2, and passes={passes} 1, 2 or 3")
        style = Style(rule="same", gated=convolution == "gated", sampling="align_corners")
        c = channels(24 if style.gated else 32, width)
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
                one_of("gate_where", place, places)
                stage, part = places[place]
                maps = 8 * c if place == "merged" else 4 * c
                stage.gates[part] = PositionGate(maps, use=gate, score=gate_score, domain=gate_domain)
