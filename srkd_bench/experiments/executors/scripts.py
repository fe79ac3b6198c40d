"""Render the tasks of a plan as commands that can be repeated safely."""

from collections.abc import Sequence
from dataclasses import dataclass

from srkd_bench.config.artifacts import Run, Weights
from srkd_bench.core.errors import command_line
from srkd_bench.experiments.planning.grid import Plans, cell_of, plans_of
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.planning.tasks import Task
from srkd_bench.methods import sources
from srkd_bench.networks.class_import import trusted


@dataclass(frozen=True)
class Step:
    """A command that executes a task of a plan and measures its networks.

    Args:
        kind: of the task; the last step, `scores`, measures all other finished networks and prints the table.
        runs: digests of the runs that it trains.
        needs: names of the steps that must be done before.
    """

    name: str
    kind: str
    command: list[str]
    runs: list[str]
    needs: list[str]
    flops: int = 0


def steps(plan: Plans, found: Sequence[Task], options: Sequence[str]) -> list[Step]:
    """Return a plan's tasks as commands, in order.

    Args:
        options: of all commands: suite, settings, store and device.
    Raises:
        SrkdError: the suite names untrusted code, which an option of a printed command would run as trusted.
    """
    for source in (source for one in plans_of(plan) for source in one.code):
        sources.check_allowed(source)
    first = ["srkd", *(["--trust"] if trusted() else [])]
    made, cells = list[Step](), {task.name: task.cell for task in found}
    fusions = _fusions(plan, found)
    for task in (task for task in found if task.kind != "scores"):
        labelled = task.kind == "labels" and any(cells[name] == task.cell for name in task.needs)
        if labelled or task.name in fusions:
            continue  # the command that trains the teacher for this cell, or the fusion, does this too
        own = cell_of(plan, task.cell)
        cell = ["--cell", task.cell] if task.cell else []
        teacher = next((seed for seed in map(own.teacher_seed, _teachers(task)) if seed is not None), None)
        only = [] if teacher is None else ["--set", f"teacher.seeds=[{teacher}]"]
        command = [*first, "train-teacher", *options, *cell, *only]
        if task.kind == "group":
            command = [*first, "distill", *_methods(task, own), *options, *cell, *_seeds(task, own), *only]
        kind, networks = ("teacher", ()) if task.kind == "labels" else (task.kind, task.networks)
        runs = [network.digest for network in networks if network]
        fused = [one for one in found if fusions.get(one.name) == task.name]
        runs += [network.digest for one in fused for network in one.networks if network]
        wanted = {fusions.get(name, name) for name in task.needs}
        needs = [step.name for step in made if step.name in wanted]
        made.append(Step(task.name, kind, command, runs, needs, task.flops))
    last = Step("scores", "scores", [*first, "evaluate", *options], [], [step.name for step in made])
    return [*made, last]


def _fusions(plan: Plans, found: Sequence[Task]) -> dict[str, str]:
    """Return the task of the fusion, whose command trains all, by the name of the task of each fused teacher."""
    tasks = [task for task in found if task.kind == "teacher"]
    last = {task.cell: task.name for task in tasks if cell_of(plan, task.cell).fusion in task.networks}
    return {task.name: last[task.cell] for task in tasks if last.get(task.cell, task.name) != task.name}


def _teachers(task: Task) -> list[Run | Weights | None]:
    """Return the teacher that a task makes or labels, or those that its students learn from."""
    alone = task.kind in ("teacher", "labels")
    return list(task.networks) if alone else [run.teacher for run in task.runs]


def _seeds(task: Task, plan: Plan) -> list[str]:
    """Return the options that limit a command to the seeds of a group."""
    seeds, teacher = list(dict.fromkeys(run.seed for run in task.runs)), plan.suite.teacher
    # Seeds that share a teacher's labels share their cost, which decides the steps of none@equal-cost.
    shared = teacher.labels != "patches" and teacher.seeds != "paired"
    if shared:
        return [word for seed in seeds for word in ("--only-seed", str(seed))]
    return ["--set", f"seeds=[{','.join(map(str, seeds))}]"]


def _methods(task: Task, plan: Plan) -> list[str]:
    """Return the methods of a group as options; the user's own by the path of their code."""
    code = {source.name: source.where for source in plan.code}
    parts = [plan.column(run).split("+") for run in task.runs]
    names = dict.fromkeys("+".join(code.get(part, part) for part in method) for method in parts)
    return [word for name in names for word in ("--method", name)]


def made_by() -> str:
    """Return the command line as a comment of one line; line breaks in it are escaped."""
    return command_line().encode("unicode_escape").decode()
