"""One file per system: its loss terms on the one training loop of `base`."""
