"""Errors, files, progress, signals: no knowledge of the domain."""
