"""Plan and execute whole studies."""
