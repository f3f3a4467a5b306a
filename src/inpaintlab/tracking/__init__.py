"""Loggers and the dashboard."""
