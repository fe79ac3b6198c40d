"""Run commands in separate processes."""

import subprocess
import sys


def printed_without_torch(*words: str) -> str:
    """Return what a command prints, after checking that it succeeds and never imports torch."""
    code = (
        f"import sys; sys.argv = {['srkd', *words]!r}\n"
        "from srkd_bench.cli.app import app\n"
        "try: app()\n"
        "except SystemExit as end: assert not end.code\n"
        "print('torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.endswith("False\n"), words
    return ran.stdout
