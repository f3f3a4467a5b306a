"""Contextual attention: `ContextualAttention` is the layer, `RULES` the differences between the public codes."""

from inpaintlab.layers.contextual.layer import ContextualAttention, Kept
from inpaintlab.layers.contextual.rules import RULES, Rules, resize_nearest

__all__ = ["RULES", "ContextualAttention", "Kept", "Rules", "resize_nearest"]
