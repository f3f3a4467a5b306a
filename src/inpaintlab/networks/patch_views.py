"""Attention views of generators with a patch attention layer."""

from __future__ import annotations

import torch
from torch import Tensor

from inpaintlab.layers.coherent import CoherentAttention
from inpaintlab.layers.contextual import ContextualAttention
from inpaintlab.networks.generator import InpaintingGenerator

PatchAttention = ContextualAttention | CoherentAttention


class PatchAttentionGenerator(InpaintingGenerator):
    """Base of generators that show what a patch attention layer attends to.

    They return "flow" (N, 2, h, w), the offset of the patch that each position attends to most, and "heat"
    (N, K, h, w), the attention of K `points`. Coherent attention has both for missing positions only: the offsets of
    known positions are 0, and each point stands for the missing position nearest to it.

    A subclass implements `attention_layer`, calls `detect_attention` when all layers exist, and calls `request_maps`
    before and `kept_maps` after the layer runs.
    """

    def attention_layer(self) -> PatchAttention | None:
        """Return the layer whose attention is shown, or None if this network has none."""
        raise NotImplementedError

    def detect_attention(self) -> None:
        """Set `shows_attention` and `shows_points`."""
        self.shows_attention = self.shows_points = self.attention_layer() is not None

    def request_maps(self) -> None:
        """Tell the layer which maps to keep."""
        layer = self.attention_layer()
        if layer is not None:
            layer.keep_attention, layer.points = self.keep_attention, self.points

    def kept_maps(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """Return the maps that the layer kept, with offsets of type `dtype`; none if there was no hole."""
        layer = self.attention_layer()
        if not self.keep_attention or layer is None or layer.kept is None:
            return {}
        heat = {"heat": layer.kept.heat} if self.points else {}
        return {"flow": layer.kept.offsets.to(dtype), **heat}
