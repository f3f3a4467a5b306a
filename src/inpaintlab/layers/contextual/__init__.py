"""Contextual attention (DeepFill): the layer `ContextualAttention` in two implementations, plain and fast."""

from inpaintlab.layers.contextual.layer import ContextualAttention, Kept
from inpaintlab.layers.contextual.rules import Deviations, resize_nearest

__all__ = ["ContextualAttention", "Deviations", "Kept", "resize_nearest"]
