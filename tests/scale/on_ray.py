"""The smoke suite on a Ray cluster of three nodes: undisturbed, with a killed node, with two drivers at once."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.scale.cluster import Nodes, cluster
from tests.scale.stores import digests

ROOT = Path(__file__).parents[2]
LIMIT = 900.0  # seconds


def start(home: Path, *more: str) -> "subprocess.Popen[str]":
    """Start the smoke suite in a store."""
    command = [sys.executable, "-m", "srkd_bench", "run", "smoke", "--home", str(home), *more]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with Path(f"{home}.told").open("a", encoding="utf-8") as told:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=told, text=True
        )


def end(driver: "subprocess.Popen[str]", home: Path) -> str:
    """Wait for a driver, and return its output."""
    code, told = driver.wait(LIMIT), Path(f"{home}.told").read_text(encoding="utf-8")
    if code:
        raise SystemExit(f"srkd ended with {code}:\n{told}")
    return told


def kill_in_the_middle(nodes: Nodes, home: Path, driver: "subprocess.Popen[str]", students: int) -> None:
    """Kill a node that trains, when all students have a checkpoint or are finished."""

    def begun() -> int:
        finished = [path.parent.name for path in home.glob("runs/*/artifact.json")]
        return len({path.parent.name for path in home.glob("work/*/step-*.pt")}.union(finished)) - 1

    while begun() < students or not nodes.kill():
        if driver.poll() is not None:
            raise SystemExit(f"srkd has ended already:\n{end(driver, home)}")
        time.sleep(0.01)


def made(told: str) -> list[str]:
    """Return the names of the networks that were trained."""
    teachers = re.findall(r"^Trained (teacher .*) in ", told, re.MULTILINE)
    students = re.findall(r"^Trained \d+ students?, (seed \d+).*: (.*) in ", told, re.MULTILINE)
    return teachers + [f"{name} {seed}" for seed, names in students for name in names.split(", ")]


def on_ray(settings: list[str]) -> dict[str, Any]:
    """Run all, and return the work done and the differences from a single process.

    Args:
        settings: of the smoke suite.
    """
    with tempfile.TemporaryDirectory() as name, cluster(3) as nodes:
        folder, chosen = Path(name), [word for one in settings for word in ("--set", one)]
        ray = [*chosen, "--executor", "ray", "--address", nodes.address]
        alone, calm, killed, shared = (folder / one for one in ("alone", "calm", "killed", "shared"))
        end(start(alone, *chosen), alone)
        networks = len(list(alone.glob("runs/*")))
        end(start(calm, *ray), calm)
        driver = start(killed, *ray, "--checkpoint-seconds", "0.2")
        kill_in_the_middle(nodes, killed, driver, networks - 1)
        told = end(driver, killed)
        nodes.add()
        drivers = [start(shared, *ray), start(shared, *ray)]
        twice = Counter(made([end(one, shared) for one in drivers][-1]))
        wanted = digests(alone)
        stores = [digests(home) for home in (calm, killed, shared)]
        return {
            "files compared": len(wanted) * len(stores),
            "files that differ": sum(
                wanted.get(file) != found.get(file) for found in stores for file in wanted | found
            ),
            "nodes killed": 1,
            "resumed from step": [
                int(step.replace(",", "")) for step in re.findall(r", resumed from step ([\d,]+)", told)
            ],
            "drivers on one store": len(drivers),
            "made twice": sum(twice.values()) - len(twice),
            "lost": networks - len(twice),
        }
