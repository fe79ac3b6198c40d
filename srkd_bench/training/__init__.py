"""Train teachers and students."""
