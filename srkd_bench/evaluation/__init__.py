"""Measure networks and analyse scores."""
