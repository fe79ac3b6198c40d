"""Validated configuration: suites, networks, artifacts."""
