"""Tests that take too long for `make test`: faults, and work of several machines. `make scale` runs them."""
