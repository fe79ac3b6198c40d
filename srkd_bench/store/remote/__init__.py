"""Share a store between machines through object storage."""
