"""Coherent semantic attention (CSA): the layer, its plain definition, and the hole at the resolution of features."""

from inpaintlab.layers.coherent.hole import feature_hole
from inpaintlab.layers.coherent.layer import CoherentAttention
from inpaintlab.layers.coherent.rules import Rules, Trace

__all__ = ["CoherentAttention", "Rules", "Trace", "feature_hole"]
