"""Attention and mask-update layers that the networks share (plain torch)."""
