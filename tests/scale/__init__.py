"""What takes too long for `make test`: faults and sizes beyond one machine's. `make scale` runs it."""
