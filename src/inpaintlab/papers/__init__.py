"""One file per system: its loss terms, on the training loop of `training.module`."""
