"""Kill `srkd` with SIGKILL in every phase repeatedly, and compare the store with that of an uninterrupted run;
then damage files of a finished store, and check that `verify` finds each fault.

Manually: `python -m tests.chaos --kills 50`. Exit code 1 if a single bit differs.
"""

import argparse
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from rich.console import Console

PHASES = ("download", "pack", "teacher", "students", "evaluation", "report")
SLOW = 0.01  # seconds for each 64 kB that the server sends
KEPT = ("weights.safetensors", "scores.json", "images.u8", "index.json", "format")


class Web(BaseHTTPRequestHandler):
    """Serve one file slowly, with Range support, as servers of data sets do."""

    content = b""

    def do_GET(self) -> None:
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(self.content) - first))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(self.content) - 1}/{len(self.content)}")
        self.end_headers()
        for at in range(first, len(self.content), 1 << 16):
            time.sleep(SLOW)
            self.wfile.write(self.content[at : at + (1 << 16)])

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def web() -> Iterator[tuple[str, str]]:
    """Serve the built-in photographs as an archive, and give its address and sha256."""
    from srkd_bench.data.catalog import DATASETS
    from srkd_bench.data.packs import builtin_images

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        from PIL import Image

        for name, pixels in builtin_images(DATASETS["photos"]):
            image = io.BytesIO()
            Image.fromarray(pixels).save(image, "png", compress_level=1)
            archive.writestr(zipfile.ZipInfo(f"{name}.png"), image.getvalue())
    Web.content = packed.getvalue()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    server.handle_error = lambda *arguments: None  # type: ignore[method-assign]  # killed clients
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/chaos.zip", hashlib.sha256(Web.content).hexdigest()
    server.shutdown()


def work(home: Path, address: str, sha256: str, settings: list[str]) -> None:
    """Run the smoke suite on images from the address, and write the name of the phase to `home`.phase."""
    from srkd_bench.cli import app
    from srkd_bench.data import ingest, packs
    from srkd_bench.data.catalog import DATASETS, DatasetSpec, Source
    from srkd_bench.experiments.runs import score, train

    DATASETS["chaos"] = DatasetSpec("train", 8, sources=(Source((address,), f"sha256:{sha256}"),))
    mark = os.open(f"{home}.phase", os.O_WRONLY | os.O_CREAT)

    def enter(phase: str) -> None:
        os.pwrite(mark, f"{phase:<16}".encode(), 0)

    def marked(module: object, name: str, phase: Callable[..., str]) -> None:
        original = getattr(module, name)

        def wrapped(*arguments: Any, **named: Any) -> Any:
            enter(phase(*arguments))
            result = original(*arguments, **named)
            enter("between")
            return result

        setattr(module, name, wrapped)

    marked(ingest, "fetch", lambda *arguments: "download")
    marked(packs, "write_pack", lambda *arguments: "pack")
    marked(train, "ensure_group", lambda group, *rest: "students" if len(group) > 1 else "teacher")
    marked(score, "ensure_scores", lambda *arguments: "evaluation")
    run = ["--home", str(home), "--set", "data.train=chaos", *settings]
    for phase, words in (
        ("between", ["download", "chaos", "--home", str(home)]),
        ("between", ["run", "smoke", "--checkpoint-seconds", "0.5", *run]),
        ("report", ["report", "smoke", *run, "-o", f"{home}.md", "-o", f"{home}.json"]),
    ):
        enter(phase)
        sys.argv = ["srkd", *words]
        try:
            app.main()
        except SystemExit as ended:
            if ended.code:
                raise
    enter("done")


@dataclass
class Chaos:
    """Uninterrupted and killed runs of the same work.

    Attributes:
        landed: number of kills in each phase; others occur at the start or between two phases.
        seconds: duration of each phase in an uninterrupted run.
    """

    folder: Path
    source: tuple[str, str]
    settings: list[str]
    random: random.Random
    landed: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def start(self, home: Path) -> "subprocess.Popen[bytes]":
        phase = Path(f"{home}.phase")
        phase.write_text("start", encoding="utf-8")
        command = [sys.executable, "-m", "tests.chaos", "--work", str(home), *self.source]
        with Path(f"{home}.log").open("ab") as log:
            return subprocess.Popen([*command, *self.settings], stdout=log, stderr=log, cwd=ROOT)

    def phase(self, home: Path) -> str:
        return Path(f"{home}.phase").read_text(encoding="utf-8").strip()

    def calm(self, home: Path) -> None:
        """Run without a kill, and measure the time of each phase."""
        process, last = self.start(home), time.monotonic()
        while process.poll() is None:
            time.sleep(0.002)
            now = time.monotonic()
            self.seconds[self.phase(home)] += now - last
            last = now
        if process.returncode:
            raise SystemExit(
                f"srkd ended with {process.returncode}:\n{Path(f'{home}.log').read_text(encoding='utf-8')}"
            )

    def kill(self, home: Path, wanted: str) -> bool:
        """Start, kill at a random moment of a phase, and return whether that phase was still to come."""
        process = self.start(home)
        while process.poll() is None and self.phase(home) != wanted:
            time.sleep(0.002)
        time.sleep(self.random.uniform(0, self.seconds[wanted] / 3))
        process.kill()
        if process.wait() == 0:
            return False
        if process.returncode != -9:
            raise SystemExit(
                f"srkd ended with {process.returncode}:\n{Path(f'{home}.log').read_text(encoding='utf-8')}"
            )
        phase = self.phase(home)
        self.landed[phase if phase in PHASES else "in between"] += 1
        return True

    def round(self, home: Path, kills: int) -> None:
        """Kill a run in each phase in turn, a number of times in total, and let it end."""
        for number in range(kills):
            self.kill(home, PHASES[number * len(PHASES) // kills])
        self.calm(home)


def digests(home: Path) -> dict[str, str]:
    """Return the sha256 of everything that must be equal in all stores: images, weights, scores, tables."""
    found = (path for path in home.rglob("*") if path.parent.name != "locks")
    files = [path for path in found if path.name in KEPT or path.parent.name == "downloads"]
    files += [Path(f"{home}{suffix}") for suffix in (".md", ".json")]
    return {
        str(path).removeprefix(str(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.suffix != ".lock"
    }


def srkd(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "srkd_bench", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def damage(home: Path, count: int, random: random.Random) -> tuple[Counter[str], int]:
    """Flip a bit of, truncate or remove a file of the store a number of times, each repaired before the next.

    Return how often each was done, and how many of them `verify` did not find, or called by another name.
    """
    from srkd_bench.core.progress import Display
    from srkd_bench.store.artifact_store import ArtifactStore
    from srkd_bench.store.verify import verify

    store, display = ArtifactStore(home), Display(Console(file=io.StringIO()))
    files = [
        path
        for place in ("runs", "scores", "data", "downloads")
        for path in sorted((home / place).rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    ]
    done: Counter[str] = Counter()
    missed = 0
    for _ in range(count):
        path, kind = random.choice(files), random.choice(["flipped", "cut", "removed"])
        content = path.read_bytes()
        if kind == "removed" and path.suffix == ".sha256":
            continue  # that makes a download without a checksum: not a fault, only unverified
        at = random.randrange(len(content))
        if kind == "removed":
            path.unlink()
        elif kind == "cut":
            path.write_bytes(content[:at])
        else:
            path.write_bytes(
                content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :]
            )
        done[kind] += 1
        named = [fault.path for fault in verify(store, display).faults]
        wanted = (
            path.parent if path.parent.parent != home else path.with_name(path.name.removesuffix(".sha256"))
        )
        missed += [str(one).removesuffix(".sha256") for one in named] != [str(wanted)]
        path.write_bytes(content)
    return done, missed


def chaos(
    kills: int, faults: int, seed: int, settings: list[str], say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Kill a number of times and damage a finished store; return the kills by phase, the damage, and what was lost.

    A round kills one store up to a dozen times, then lets it end; each is compared with one that was never killed.
    """
    chosen = [word for setting in settings for word in ("--set", setting)]
    with tempfile.TemporaryDirectory() as name, web() as source:
        test = Chaos(Path(name), source, chosen, random.Random(seed))
        calm = test.folder / "calm"
        test.calm(calm)
        wanted, rounds, lost, broken, left = digests(calm), 0, 0, 0, 0
        say(f"a calm run makes {len(wanted)} files; in phases for {_times(test.seconds)}")
        while sum(test.landed.values()) < kills:
            home = test.folder / f"killed-{rounds}"
            test.round(home, min(12, kills - sum(test.landed.values())))
            rounds += 1
            broken += srkd("store", "verify", "--home", str(home)).returncode != 0
            srkd("store", "gc", "--yes", "--home", str(home))
            found = digests(home)
            differ = sorted(file for file in wanted | found if wanted.get(file) != found.get(file))
            lost += len(differ)
            left += len(list(home.glob("tmp/*")) + list(home.glob("work/*")))
            say(f"round {rounds}: {dict(test.landed)} kills so far; files that differ: {differ or 0}")
        injected, missed = damage(calm, faults, test.random)
        say(f"{sum(injected.values())} faults put into a store: {dict(injected)}; not found: {missed}")
        return {
            "kills": sum(test.landed.values()),
            "landed": {phase: test.landed[phase] for phase in (*PHASES, "in between")},
            "rounds": rounds,
            "files compared": rounds * len(wanted),
            "stores with faults": broken,
            "left after gc": left,
            "faults injected": dict(injected),
            "faults not found": missed,
            "lost": lost,
        }


def _times(seconds: dict[str, float]) -> str:
    return ", ".join(f"{phase} {seconds[phase]:.2f} s" for phase in PHASES)


ROOT = Path(__file__).parent.parent


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        _, _, home, address, sha256, *settings = sys.argv
        work(Path(home), address, sha256, settings)
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument(
        "--seed", type=int, default=0, help="of the moments; threads make them differ all the same"
    )
    parser.add_argument("--set", action="append", default=[], help="settings of the smoke suite")
    chosen = parser.parse_args()
    result = chaos(
        chosen.kills, chosen.faults, chosen.seed, chosen.set, lambda line: print(line, file=sys.stderr)
    )
    print(json.dumps(result, indent=1))
    sys.exit(any(result[key] for key in ("lost", "stores with faults", "left after gc", "faults not found")))


if __name__ == "__main__":
    main()
