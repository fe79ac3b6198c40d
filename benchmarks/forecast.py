"""What `--dry-run` says of a shortened demo, in an empty store, against what its run takes then."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Row, seconds


def rows(quick: bool) -> list[Row]:
    steps = 10 if quick else 200
    settings = [f"train.steps={steps}", f"teacher.train.steps={steps}"]
    command = [sys.executable, "-m", "srkd_bench", "run", "demo"]
    command += [word for setting in settings for word in ("--set", setting)]
    with tempfile.TemporaryDirectory() as home:
        command += ["--home", home]
        said = subprocess.run([*command, "--dry-run", "--json"], check=True, capture_output=True)
        plan = json.loads(said.stdout)
        took = seconds(lambda: subprocess.run(command, check=True, capture_output=True))
        kept = sum(path.stat().st_size for path in Path(home).rglob("*") if path.is_file())
    return [
        Row(
            f"8. what --dry-run is off by, {what} of the demo with {steps} steps",
            max(said / real, real / said),
            "x",
            None if quick else 1.25,
            note=f"said {said:,.3g} {unit}, took {real:,.3g} {unit}",
        )
        for what, said, real, unit in (
            ("time", max(plan["seconds"], 1), took, "s"),
            ("disk", plan["disk"] / 1e6, kept / 1e6, "MB"),
        )
    ]
