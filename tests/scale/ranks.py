"""A teacher's training in several processes: `python -m tests.scale.ranks` starts torchrun many times.

One process trains with batch 8; two and four do the same; others are stopped and killed, and another number of
processes resumes. Prints agreement, lost steps and the time of a step; ends with exit code 1 if
anything differs or was lost.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from safetensors.torch import load_file

from srkd_bench.store import checkpoints

SUITE = """
name: {name}
data: {{train: photos, test: [photos-test], scale: 2}}
teacher: {{model: {{n_feats: {n_feats}, n_resblocks: {n_resblocks}, res_scale: {res_scale}}}}}
student: {{n_feats: 4, n_resblocks: 4}}
train: {{batch: 8, patch: {patch}, steps: {steps}, learning_rate: 1e-4}}
methods: [none]
"""


class Bench:
    """A folder with suites, and a store for each way of training them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def suite(self, n_feats: int, n_resblocks: int, patch: int, steps: int) -> str:
        """Write a suite; return its file's name."""
        res_scale = 0.1 if n_feats >= 256 else 1.0
        name = f"{n_feats}x{n_resblocks}"
        text = SUITE.format(
            name=name, n_feats=n_feats, n_resblocks=n_resblocks, res_scale=res_scale, patch=patch, steps=steps
        )
        (self.folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        return f"{name}.yaml"

    def start(self, ranks: int, suite: str, store: str, *more: str) -> "subprocess.Popen[str]":
        """Train a suite's teacher with a number of processes, which share all cores."""
        words = ["-m", "srkd_bench", "train-teacher", suite, "--home", store, *more]
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
        threads = max(1, (os.cpu_count() or 1) // ranks)
        return subprocess.Popen(
            [sys.executable, *(launch if ranks > 1 else []), *words],
            cwd=self.folder,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def train(self, ranks: int, suite: str, store: str) -> Path:
        """Train to the end, and return the folder of the run."""
        process = self.start(ranks, suite, store)
        _, err = process.communicate()
        if process.returncode:
            sys.exit(f"{ranks} ranks failed:\n{err}")
        (run,) = (self.folder / store / "runs").iterdir()
        return run

    def steps_kept(self, store: str) -> int:
        """Return the steps of the checkpoint in a store that has one unfinished run."""
        return max(
            (checkpoints.steps_done(work) for work in (self.folder / store / "work").glob("*")), default=0
        )

    def interrupted(
        self, ranks: int, suite: str, store: str, number: signal.Signals, rank: int | None
    ) -> int:
        """Send a signal to torchrun or a rank after the first checkpoint; return the steps kept."""
        before = self.steps_kept(store)
        process = self.start(ranks, suite, store, "--checkpoint-seconds", "1")
        while self.steps_kept(store) <= before:
            if process.poll() is not None:
                sys.exit(f"ended too early:\n{process.communicate()[1]}")
            time.sleep(0.05)
        os.kill(process.pid if rank is None else worker(process.pid, rank), number)
        _, err = process.communicate()
        if not process.returncode:
            sys.exit(f"continued after {number.name}")
        for line in err.splitlines():
            if line.startswith(("error", "hint")):
                print(f"    {line}")
        return self.steps_kept(store)


def worker(launcher: int, rank: int) -> int:
    """Return the process of a rank."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status, told = (
                (folder / "status").read_text(encoding="utf-8"),
                (folder / "environ").read_bytes().split(b"\0"),
            )
        except OSError:  # it has ended
            continue
        if f"PPid:\t{launcher}\n" in status and f"RANK={rank}".encode() in told:
            return int(folder.name)
    sys.exit(f"no rank {rank} below process {launcher}")


def difference(run: Path, other: Path) -> float:
    """Return the largest difference between two runs' weights."""
    a, b = (load_file(one / "weights.safetensors") for one in (run, other))
    return float(max((a[name] - b[name]).abs().max() for name in a))


def seconds_a_step(run: Path) -> float:
    """Return the time of a step: the minimum over the events, which other load on the machine affects least.

    Where each step has an event, no event has a time; then it is the mean, by the run's card.
    """
    events = [json.loads(line) for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    if times := [float(event["seconds_a_step"]) for event in events if "seconds_a_step" in event]:
        return min(times)
    seconds, steps = (
        float(json.loads((run / "card.json").read_text(encoding="utf-8"))["seconds"]),
        len(events),
    )
    if not seconds:
        sys.exit(f"{steps} steps were too short to be timed; give this size more steps")
    return seconds / steps


def agreement(bench: Bench) -> bool:
    """Train 50 steps with one, two and four processes; return whether all have the same digest."""
    suite = bench.suite(16, 4, 16, 50)
    runs = {ranks: bench.train(ranks, suite, f"agree-{ranks}") for ranks in (1, 2, 4)}
    for ranks in (2, 4):
        same = "the same digest" if runs[ranks].name == runs[1].name else "ANOTHER DIGEST"
        print(
            f"1×8 and {ranks}×{8 // ranks}: {same}, weights differ by {difference(runs[1], runs[ranks]):.1e}"
        )
    return len({run.name for run in runs.values()}) == 1


def faults(bench: Bench) -> bool:
    """Stop and kill trainings, and resume with other numbers of ranks; return whether nothing was lost."""
    suite = bench.suite(8, 4, 12, 800)
    for what, ranks, number, rank in (
        ("SIGTERM to torchrun", 2, signal.SIGTERM, None),
        ("SIGTERM to rank 1 of 4", 4, signal.SIGTERM, 1),
        ("SIGKILL to rank 1 of 2", 2, signal.SIGKILL, 1),
        ("SIGKILL to rank 0 of 2", 2, signal.SIGKILL, 0),
    ):
        print(f"{what}: kept {bench.interrupted(ranks, suite, 'faults', number, rank)} steps")
    events = (bench.train(1, suite, "faults") / "events.jsonl").read_text(encoding="utf-8").splitlines()
    complete = [json.loads(line)["step"] for line in events] == [*range(0, 800, 8), 799]
    print(f"one process has ended it; every event there once: {complete}")
    return complete


def speed(bench: Bench, sizes: list[tuple[int, int, int, int]]) -> None:
    """Time a step of one and of two processes."""
    for n_feats, n_resblocks, patch, steps in sizes:
        suite = bench.suite(n_feats, n_resblocks, patch, steps)
        one, two = (seconds_a_step(bench.train(ranks, suite, f"speed-{ranks}-{suite}")) for ranks in (1, 2))
        times = f"1×8 {one:.3g} s a step, 2×4 {two:.3g} s, {one / two:.2f} times as fast"
        print(f"EDSR {n_feats}×{n_resblocks}, patch {patch}: {times}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.scale.ranks", description=__doc__)
    parser.add_argument(
        "--study", action="store_true", help="time the study's teacher too, 256×32: 10 minutes"
    )
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        good = agreement(bench) and faults(bench)
        speed(bench, [(16, 4, 24, 200), (64, 16, 48, 8), *([(256, 32, 48, 4)] if words.study else [])])
    sys.exit(int(not good))


if __name__ == "__main__":
    main()
