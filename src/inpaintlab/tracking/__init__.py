"""Loggers, reading of their files, and the dashboard."""
