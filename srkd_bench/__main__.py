"""`python -m srkd_bench` is `srkd`."""

from srkd_bench.cli import main

main()
