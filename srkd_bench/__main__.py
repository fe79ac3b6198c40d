"""Run `srkd` as `python -m srkd_bench`."""

from srkd_bench.cli.app import main

main()
