"""Tables, independent of their format."""
