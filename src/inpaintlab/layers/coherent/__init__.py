"""Coherent semantic attention (CSA): the layer in two implementations, and holes at the resolution of features."""

from inpaintlab.layers.coherent.hole import feature_hole
from inpaintlab.layers.coherent.layer import CoherentAttention
from inpaintlab.layers.coherent.rules import Kept, Rules, Trace

__all__ = ["CoherentAttention", "Kept", "Rules", "Trace", "feature_hole"]
