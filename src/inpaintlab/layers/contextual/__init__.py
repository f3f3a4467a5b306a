"""Contextual attention: `ContextualAttention` is the layer; `rules` names the differences between the public codes."""

from inpaintlab.layers.contextual.layer import ContextualAttention, Kept
from inpaintlab.layers.contextual.rules import Deviations, resize_nearest

__all__ = ["ContextualAttention", "Deviations", "Kept", "resize_nearest"]
