"""`python -m srkd_bench` is `srkd`."""

from srkd_bench.cli.app import main

main()
