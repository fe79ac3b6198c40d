"""Built-in architectures, and wrappers of other ones."""
