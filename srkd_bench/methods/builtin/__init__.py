"""The built-in distillation methods, one file each."""
