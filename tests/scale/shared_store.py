"""Measure a shared store on a local server: memory for a large artifact, requests for small ones.

`python -m tests.scale.shared_store [--megabytes 300] [--runs 200]`, after `pip install -e '.[bucket]'`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.bucket_server import Server

# In processes of their own, whose memory is the client's alone.
SETTING = """
import os, pathlib, sys, time
from srkd_bench.config.artifacts import Measurement
from srkd_bench.core.files import put
from srkd_bench.store.artifact_store import ArtifactStore
store = ArtifactStore(pathlib.Path(sys.argv[1]))
keys = [Measurement(network=f"{i:064}", pixels="0", scale=2) for i in range(int(sys.argv[2]))]
store.has(keys[0])
def peak():
    return int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
before = peak()
begun = time.monotonic()
"""
TOLD = """
took = time.monotonic() - begun
print(took, (peak() - before) / 1024)
"""
SEND = """
with store.writing(keys[0]) as folder, (folder / "scores.json").open("wb") as file:
    for _ in range(int(sys.argv[3])):
        file.write(os.urandom(1_000_000))
"""
FETCH = 'store.file(keys[0], "scores.json")'
MAKE = """
for key in keys:
    with store.locked([key.lock]):
        assert not store.has(key)
        with store.writing(key) as folder:
            put(folder / "scores.json", "{}")
            put(folder / "card.json", "{}")
"""
READ = """
store.read_ahead([key.place for key in keys], "scores.json")
for key in keys:
    store.read(key.place, "scores.json")
"""


def timed(work: str, *words: object) -> tuple[float, float]:
    """Return the seconds that some work with a store took, and by how many MB it raised the process's memory."""
    code = SETTING + work + TOLD
    told = subprocess.check_output([sys.executable, "-c", code, *map(str, words)], text=True)
    seconds, memory = map(float, told.split())
    return seconds, memory


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--runs", type=int, default=200)
    asked = parser.parse_args()
    server = Server()
    os.environ.update(server.environment())
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["SRKD_STORE"] = "s3://runs/large"
        for what, work, home in (("send", SEND, "one"), ("fetch", FETCH, "two")):
            seconds, memory = timed(work, folder / home, 1, asked.megabytes)
            found[f"{what} {asked.megabytes} MB"] = f"{seconds:.1f} s, {memory:.0f} MB of memory"
        os.environ["SRKD_STORE"] = "s3://runs/small"
        for what, work, home in (("make", MAKE, "three"), ("read", READ, "four")):
            server.settle()
            seconds, _ = timed(work, folder / home, asked.runs)
            requests = Counter(method for method, _ in server.asked)
            each = (
                f"{1000 * seconds / asked.runs:.1f} ms and {requests.total() / asked.runs:.2f} requests each"
            )
            found[f"{what} {asked.runs} sets of scores"] = f"{each} {dict(requests)}"
    print(json.dumps(found, indent=1))
    server.close()


if __name__ == "__main__":
    main()
