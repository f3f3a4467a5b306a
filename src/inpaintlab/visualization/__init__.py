"""Picture grids, attention maps and charts."""
