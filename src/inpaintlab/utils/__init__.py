"""Helpers that know nothing about inpainting."""
