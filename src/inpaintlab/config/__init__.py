"""Compose, check and name the configs of runs."""
