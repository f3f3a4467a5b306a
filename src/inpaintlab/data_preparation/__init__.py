"""Verify and prepare pictures and masks on disk."""
