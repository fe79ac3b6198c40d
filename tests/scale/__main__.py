"""Simulate several machines, with faults: `python -m tests.scale [ray|torchrun|store|simulation]`, or all.

Prints the results, and ends with exit code 1 if anything differs, is lost or was created twice.
"""

import argparse
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.scale.on_ray import on_ray
from tests.scale.simulation import simulate
from tests.support.bucket_server import Server

ROOT = Path(__file__).parents[2]
MEMORY = Path("/dev/shm")
TESTS = {
    "torchrun": ["tests/training/test_distributed.py"],
    "store": ["tests/store/remote/test_bucket.py", "tests/store/remote/test_shared_store.py"],
}
"""The tests that a part runs first."""


def ray(asked: argparse.Namespace) -> bool:
    """Run the smoke suite on a Ray cluster; return whether all results are correct."""
    found = on_ray(asked.set)
    print(json.dumps(found))
    return bool(found["resumed from step"]) and not (
        found["files that differ"] or found["made twice"] or found["lost"]
    )


def torchrun(asked: argparse.Namespace) -> bool:
    """Train with several ranks, and stop and kill them."""
    return _ends_well("-m", "pytest", *TESTS["torchrun"]) and _ends_well("-m", "tests.scale.ranks")


def store(asked: argparse.Namespace) -> bool:
    """Share a store through a real S3-compatible server that is slow, or loses connections."""
    return _ends_well("-m", "pytest", *TESTS["store"]) and _ends_well("-m", "tests.scale.shared_store")


def simulation(asked: argparse.Namespace) -> bool:
    """Make thousands of runs without training; then hundreds with a bucket, and count its requests. Workers die."""
    good = True
    where = asked.where or (MEMORY if MEMORY.is_dir() else None)
    seconds = asked.training * asked.minute
    server = Server()
    # A dead worker's lease lasts a real minute: simulated workers would be killed while waiting for it.
    kinds = [(runs, None, asked.minute) for runs in asked.runs]
    for runs, shared, minute in [*kinds, *((runs, server, 60) for runs in asked.bucket_runs)]:
        server.settle()
        found = simulate(runs, asked.workers, seconds, asked.deaths / minute, where, shared)
        print(json.dumps({key: round(value, 2) for key, value in found.items()}), flush=True)
        good &= not (found["lost"] or found["made twice"] or found["store faults"])
    server.close()
    return good


def _ends_well(*words: str) -> bool:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, check=False).returncode == 0


PARTS: dict[str, Callable[[argparse.Namespace], bool]] = {
    "ray": ray,
    "torchrun": torchrun,
    "store": store,
    "simulation": simulation,
}


def ends_as_it_should(name: str, asked: argparse.Namespace) -> bool:
    """Run a part; one that ends early has failed, and the others still run."""
    try:
        return PARTS[name](asked)
    except SystemExit as ended:
        print(f"{name} ended early: {ended}")
    except Exception:
        traceback.print_exc(file=sys.stdout)
        print(f"{name} ended early, by the error above")
    return False


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    ray_ = parser.add_argument_group("ray")
    ray_.add_argument("--set", action="append", default=[], help="settings of the smoke suite")
    simulated = parser.add_argument_group("simulation")
    simulated.add_argument("--runs", type=int, nargs="+", default=[100, 1000, 10_000])
    simulated.add_argument("--bucket-runs", type=int, nargs="*", default=[100, 400])
    simulated.add_argument("--workers", type=int, default=64)
    simulated.add_argument("--minute", type=float, default=1.0, help="seconds that a simulated minute takes")
    simulated.add_argument("--training", type=float, default=4, help="simulated minutes of a group of runs")
    simulated.add_argument(
        "--deaths",
        type=float,
        default=0.01,
        help="of a worker, in a simulated minute; with a bucket, in a real one",
    )
    simulated.add_argument("--where", type=Path, help="a folder for the store; in memory if not given")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no part named {', '.join(sorted(unknown))}")
    good = {}
    for name in asked.parts or PARTS:
        print(f"{name} …", flush=True)
        good[name] = ends_as_it_should(name, asked)
    print(
        "; ".join(
            f"{name}: {'as it should be' if well else 'NOT AS IT SHOULD BE'}" for name, well in good.items()
        )
    )
    sys.exit(int(not all(good.values())))


if __name__ == "__main__":
    main()
