"""Evaluate a generator on fixed pairs of picture and hole."""
