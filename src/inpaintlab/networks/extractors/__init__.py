"""Pretrained classification networks used as feature extractors."""
