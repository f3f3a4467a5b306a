"""Attention-based image inpainting systems, re-implemented from their papers."""

__version__ = "0.2.0"
