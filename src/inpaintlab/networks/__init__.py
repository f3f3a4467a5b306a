"""One file per system: its generator and its own discriminators (plain torch)."""
