"""Export artifacts to tar files and import them."""
