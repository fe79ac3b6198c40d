"""Open a store, plan a suite and execute the plan: the steps that the command and the Python interface share."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from srkd_bench.core.errors import FailedRuns, failed_runs

if TYPE_CHECKING:
    from srkd_bench.core.progress import Display
    from srkd_bench.experiments.executors.base import Executor
    from srkd_bench.experiments.planning.planner import Plan
    from srkd_bench.store.artifact_store import ArtifactStore
    from srkd_bench.store.workspace import RunOptions, Workplace


def open_store(home: Path | None, display: Display) -> ArtifactStore:
    """Return the store; the display says what makes the user wait."""
    from srkd_bench.store.artifact_store import ArtifactStore

    return ArtifactStore(home, say=display.say)


def with_teacher(settings: Sequence[str] | None, weights: str | None) -> list[str]:
    """Return a suite's settings with its teacher's weights among them."""
    return [*(settings or []), *([f"teacher.weights={json.dumps(weights)}"] if weights else [])]


def naming(suite: str, settings: Sequence[str] | None) -> list[str]:
    """Return the suite and its settings as words of a command line."""
    return [suite, *(word for one in settings or [] for word in ("--set", one))]


def find_plan(
    suite: str,
    settings: Sequence[str] | None,
    home: Path | None,
    display: Display,
    chosen: Sequence[str] = (),
    *,
    readonly: bool = False,
    scored: bool = False,
) -> tuple[Plan, ArtifactStore]:
    """Return a suite's plan, and the store that it was made with.

    Args:
        settings: changes of the suite, `KEY=VALUE` each.
        chosen, readonly, scored: as in `planner.plan`.
    """
    from srkd_bench.config.suite_file import load_suite
    from srkd_bench.experiments.planning import planner

    read = load_suite(suite, settings or [])
    store, options = open_store(home, display), shlex.join(naming(suite, settings))
    plan = planner.plan(read, store, display, chosen, readonly=readonly, scored=scored, options=options)
    return plan, store


def workplace(store: ArtifactStore, display: Display, options: RunOptions) -> Workplace:
    """Return where to work in this process, on the one device that the options name."""
    from srkd_bench.store.workspace import Workplace
    from srkd_bench.training.devices import choose_device

    return Workplace(store, display, choose_device(options.devices), options)


def check_devices(options: RunOptions) -> None:
    """Check the devices that the options name, which a finished plan would not look for.

    Raises:
        SrkdError: one does not exist.
    """
    if options.devices != "auto":  # `auto` always exists: no need to import torch
        from srkd_bench.training.devices import choose_devices

        choose_devices(options.devices, options.jobs)


def make(
    execute: Executor, plan: Plan, store: ArtifactStore, display: Display, options: RunOptions
) -> FailedRuns | None:
    """Make what isn't in the store; return what failed."""
    failures = execute(plan, store, display, options)
    store.look_again()
    return failed_runs(failures)


def complete(
    plan: Plan, store: ArtifactStore, display: Display, options: RunOptions, executor: str = "local"
) -> FailedRuns | None:
    """Make what isn't in the store, or say that all of it is; return what failed.

    Args:
        executor: a key of `EXECUTORS`.
    """
    from srkd_bench.experiments.executors.base import find_executor
    from srkd_bench.experiments.planning import status

    if executor == "local":
        check_devices(options)
    if status.finished(plan, store):
        status.announce(plan, store, display)
        return None
    return make(find_executor(executor), plan, store, display, options)
