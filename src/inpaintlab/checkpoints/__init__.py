"""Checkpoints, weight files of paper authors, and pretrained networks."""
