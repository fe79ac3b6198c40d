"""Distillation methods and their interface."""
