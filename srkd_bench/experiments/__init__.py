"""Plan, execute and analyse whole studies."""
