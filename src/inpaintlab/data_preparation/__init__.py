"""Verify and prepare pictures and masks on disk, and write the pairs of an evaluation."""
