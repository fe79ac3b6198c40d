"""Apply a network to images, export it, profile it."""
