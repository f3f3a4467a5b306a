"""Loss functions: scalars from tensors, no optimiser, no state (plain torch)."""
