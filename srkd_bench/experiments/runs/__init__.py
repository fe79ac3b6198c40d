"""Train and measure the networks of a plan."""
