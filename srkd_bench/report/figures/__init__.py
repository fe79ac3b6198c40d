"""Figures for papers and the page."""
