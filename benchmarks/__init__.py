"""How fast srkd is: one small script a target; `python -m benchmarks` runs them all and prints one table."""
