"""Data sets: each is a source of pictures for training, validation and test."""
