"""Helpers without knowledge of inpainting."""
