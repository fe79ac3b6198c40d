"""Collect, list, compare and forecast."""
