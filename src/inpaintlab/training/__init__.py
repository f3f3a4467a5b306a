"""The training loop and everything that runs beside it."""
