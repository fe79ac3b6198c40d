"""Render results as tables, figures and pages."""
