"""What the commands that take a suite share: find its plan, make what is missing, print."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from srkd_bench.cli.options import Executor
from srkd_bench.cli.output import err, print_forecast, print_results
from srkd_bench.core.errors import FailedRuns, SrkdError, failed_runs

if TYPE_CHECKING:
    from torch import device

    from srkd_bench.core.progress import Display
    from srkd_bench.experiments.planning.planner import Plan
    from srkd_bench.store.artifact_store import ArtifactStore
    from srkd_bench.store.workspace import Workplace
    from srkd_bench.training.distributed import Ranks


def open_store(home: Path | None) -> ArtifactStore:
    """Return the store; what makes the user wait is said on stderr."""
    from srkd_bench.store.artifact_store import ArtifactStore

    return ArtifactStore(home, say=lambda line: err.print(line, markup=False, highlight=False))


def with_teacher(settings: Sequence[str] | None, weights: str | None) -> list[str]:
    """Return a suite's settings with its teacher's weights among them."""
    return [*(settings or []), *([f"teacher.weights={json.dumps(weights)}"] if weights else [])]


def with_cluster(executor: Executor, address: str | None, dry_run: bool) -> str | None:
    """Return the address of the Ray cluster to work on, None for this machine.

    Raises:
        SrkdError: the options don't go together.
    """
    if executor == Executor.LOCAL:
        if address:
            raise SrkdError("--address is of a Ray cluster", "--executor ray")
        return None
    if dry_run:
        raise SrkdError("--dry-run is about this machine", "srkd plan SUITE --jobs N, or without --executor")
    return address or "auto"


def find_plan(
    suite: str,
    settings: list[str] | None,
    home: Path | None,
    chosen: Sequence[str] = (),
    *,
    readonly: bool = False,
    scored: bool = False,
) -> tuple[Plan, ArtifactStore, Display]:
    """Return a suite's plan, and the store and display that it was made with."""
    from srkd_bench.config.suite_file import load_suite
    from srkd_bench.core.progress import Display
    from srkd_bench.experiments.planning import planner

    read = load_suite(suite, settings or [])
    store, display = open_store(home), Display(err)
    options = naming(suite, settings)
    plan = planner.plan(read, store, display, chosen, readonly=readonly, scored=scored, options=options)
    return plan, store, display


def naming(suite: str, settings: list[str] | None) -> str:
    """Return the options that name a suite on the command line."""
    return shlex.join(["--suite", suite, *(word for one in settings or [] for word in ("--set", one))])


def workplace(
    store: ArtifactStore,
    display: Display,
    device: str,
    checkpoint_seconds: float | None = None,
    teacher_cache: float = 0,
) -> Workplace:
    """Return where to work; the device is looked for."""
    from srkd_bench.store import workspace
    from srkd_bench.training import devices as devices_module

    return workspace.Workplace(
        store, display, devices_module.choose_device(device), checkpoint_seconds, 1e9 * teacher_cache
    )


def work(
    plan: Plan,
    store: ArtifactStore,
    display: Display,
    devices: str,
    jobs: int | None,
    checkpoint_seconds: float | None,
    teacher_cache: float,
    dry_run: bool,
    json_: bool,
    cluster: str | None = None,
) -> None:
    """Train, measure and print; what failed is raised after all else is done and shown.

    Args:
        cluster: the address of a Ray cluster, None for this machine.
    """
    from srkd_bench.experiments.planning import status

    failed: FailedRuns | None = None
    if status.finished(plan, store) and not dry_run:
        status.announce(plan, store, display)
    elif cluster is not None:
        from srkd_bench.experiments.executors import ray

        failed = failed_runs(
            ray.do_all(
                plan,
                store,
                display,
                cluster,
                devices=devices,
                jobs=jobs,
                checkpoint_seconds=checkpoint_seconds,
                teacher_cache=1e9 * teacher_cache,
            )
        )
        store.look_again()
    else:
        from srkd_bench.store import workspace
        from srkd_bench.training import devices as devices_module

        found = devices_module.choose_devices(devices, jobs)
        place = workspace.Workplace(store, display, found[0], checkpoint_seconds, 1e9 * teacher_cache)
        if dry_run:
            print_forecast(plan, place, json_, slots=len(found))
            return
        failed = make(plan, place, found)
    print_results(plan, store, json_)
    display.say(f"everything is kept in {store}")
    if failed:
        raise failed


def make(
    plan: Plan, place: Workplace, devices: Sequence[device] = (), ranks: Ranks | None = None
) -> FailedRuns | None:
    """Make what isn't in the store; return what failed.

    Args:
        devices: work in several processes, one on each of these.
        ranks: that train a teacher together.
    """
    from srkd_bench.experiments.executors import processes, serial
    from srkd_bench.experiments.planning import status
    from srkd_bench.experiments.runs.preflight import check

    check(plan, place)
    status.announce(plan, place.store, place.display)
    several = len(devices) > 1
    failed = processes.do_all(plan, place, devices) if several else serial.do_all(plan, place, ranks)
    place.store.look_again()
    return failed_runs(failed)
