"""Apply a network to images, export and profile it."""
