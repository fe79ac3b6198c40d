"""Open a store, plan a suite and execute the plan: the steps that the command and the Python interface share."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from srkd_bench.core.errors import FailedRuns, SrkdError, failed_runs

if TYPE_CHECKING:
    from srkd_bench.config.grid import Cell
    from srkd_bench.core.progress import Display
    from srkd_bench.experiments.executors.base import Executor
    from srkd_bench.experiments.planning.grid import Plans
    from srkd_bench.experiments.planning.planner import Plan
    from srkd_bench.store.artifact_store import ArtifactStore
    from srkd_bench.store.workspace import RunOptions, Workplace


def open_store(home: Path | None, display: Display) -> ArtifactStore:
    """Return the store; the display reports the reason for delays."""
    from srkd_bench.store.artifact_store import ArtifactStore

    return ArtifactStore(home, say=display.say)


def with_teacher(settings: Sequence[str] | None, weights: str | None) -> list[str]:
    """Return a suite's settings, including its teacher's weights."""
    return [*(settings or []), *([f"teacher.weights={json.dumps(weights)}"] if weights else [])]


def naming(suite: str, settings: Sequence[str] | None) -> list[str]:
    """Return the suite and its settings as command-line arguments."""
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
    execution: RunOptions | None = None,
) -> tuple[Plan, ArtifactStore]:
    """Return as `find_plans` the plan of a suite, or of a grid's only cell that the settings select.

    Raises:
        SrkdError: they select several cells.
    """
    from srkd_bench.experiments.planning.planner import Plan

    plan, store = find_plans(
        suite, settings, home, display, chosen,
        readonly=readonly, scored=scored, execution=execution, single=True,
    )  # fmt: skip
    assert isinstance(plan, Plan)
    return plan, store


def find_plans(
    suite: str,
    settings: Sequence[str] | None,
    home: Path | None,
    display: Display,
    chosen: Sequence[str] = (),
    *,
    readonly: bool = False,
    scored: bool = False,
    execution: RunOptions | None = None,
    single: bool = False,
) -> tuple[Plans, ArtifactStore]:
    """Return the plan of a suite, or of all cells that the settings select of a grid, and the store.

    Args:
        settings: changes of the suite, `KEY=VALUE` each.
        chosen, readonly, scored: as in `planner.plan`.
        execution: if the plan is executed on this machine. If it needs torch.compile, which does not work here, the
            plan is that of the suite without it.
        single: refuse several cells.
    """
    from srkd_bench.config.suite_file import load_grid
    from srkd_bench.experiments.planning import planner
    from srkd_bench.experiments.planning.grid import plan_grid

    def planned(cell: Cell, *words: str) -> Plan:
        options = shlex.join([*naming(suite, settings), *words])
        return planner.plan(
            cell.suite, store, display, chosen, readonly=readonly, scored=scored, options=options
        )

    plans: Plans
    read = load_grid(suite, settings or [])
    cells = (read.only,) if single else read.cells
    store = open_store(home, display)
    if len(cells) == 1:
        plans = planned(cells[0])
    else:
        plans = plan_grid(read.name, cells, lambda cell: planned(cell, "--cell", cell.name))
    if execution is not None and (fallback := _without_compiler(plans, store, display, execution)):
        return find_plans(
            suite, [*(settings or []), *fallback], home, display, chosen,
            readonly=readonly, scored=scored, single=single,
        )  # fmt: skip
    return plans, store


def _without_compiler(plans: Plans, store: ArtifactStore, display: Display, options: RunOptions) -> list[str]:
    """Return the settings that turn torch.compile off if a plan needs it and it does not work here; else none."""
    from srkd_bench.experiments.planning.grid import plans_of

    suites = [one.suite for one in plans_of(plans)]
    trainings = [("train", one.train) for one in suites]
    trainings += [("teacher.train", one.teacher.train) for one in suites if one.teacher.train is not None]
    settings = [*dict.fromkeys(f"{key}.compile=false" for key, one in trainings if one.compile)]
    if not settings:
        return []
    from srkd_bench.experiments.runs.preflight import compilations
    from srkd_bench.training.compilation import check_compiler
    from srkd_bench.training.devices import choose_devices

    try:
        for how in compilations(plans, store):
            check_compiler(choose_devices(options.devices, options.jobs)[0], how)
    except SrkdError as error:
        if not error.hint.startswith("--set train.compile"):
            raise
        words = shlex.join(word for one in settings for word in ("--set", one))
        display.say(f"{error.message}. Training without it, which later commands find by {words}")
        return settings
    return []


def workplace(store: ArtifactStore, display: Display, options: RunOptions) -> Workplace:
    """Return the workplace of this process, on the only device in the options."""
    from srkd_bench.store.workspace import Workplace
    from srkd_bench.training.devices import choose_device

    return Workplace(store, display, choose_device(options.devices), options)


def check_devices(options: RunOptions) -> None:
    """Check the devices in the options; executing a finished plan would not check them.

    Raises:
        SrkdError: one does not exist.
    """
    if options.devices != "auto":  # `auto` always exists: no need to import torch
        from srkd_bench.training.devices import choose_devices

        choose_devices(options.devices, options.jobs)


def make(
    execute: Executor, plan: Plans, store: ArtifactStore, display: Display, options: RunOptions
) -> FailedRuns | None:
    """Execute what is missing in the store; return the failures."""
    failures = execute(plan, store, display, options)
    store.look_again()
    return failed_runs(failures)


def complete(
    plan: Plans, store: ArtifactStore, display: Display, options: RunOptions, executor: str = "local"
) -> FailedRuns | None:
    """Execute what is missing in the store, or report that nothing is; return the failures.

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
