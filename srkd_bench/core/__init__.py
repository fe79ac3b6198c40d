"""Errors, files, progress and signals; no knowledge of the domain."""
