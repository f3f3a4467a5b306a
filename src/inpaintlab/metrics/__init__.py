"""Metrics of inpainted pictures, and the protocols that define them."""
