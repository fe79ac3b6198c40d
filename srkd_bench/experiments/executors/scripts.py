"""Render the tasks of a plan as commands that can be repeated safely."""

from collections.abc import Sequence
from dataclasses import dataclass

from srkd_bench.core.errors import command_line
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.planning.tasks import Task
from srkd_bench.methods import sources
from srkd_bench.networks.class_import import trusted


@dataclass(frozen=True)
class Step:
    """A command that makes a task of a plan and measures it.

    Args:
        kind: as a task's; the last step, `scores`, measures what else is finished and prints the table.
        runs: digests of what it makes.
        needs: names of the steps that have to be done before.
    """

    name: str
    kind: str
    command: list[str]
    runs: list[str]
    needs: list[str]
    flops: int = 0


def steps(
    plan: Plan, found: Sequence[Task], options: Sequence[str], training: Sequence[str] = ()
) -> list[Step]:
    """Return a plan's tasks as commands, in order.

    Args:
        options: of all commands: suite, settings, store and device.
        training: options of `srkd distill`.
    Raises:
        SrkdError: the suite names code that nobody has allowed: as an option of a command it would be allowed.
    """
    for source in plan.code:
        sources.check_allowed(source)
    first = ["srkd", *(["--trust"] if trusted() else [])]
    made = list[Step]()
    for task in (task for task in found if task.kind != "scores"):
        command = [*first, "train-teacher", *options]
        if task.kind == "labels" and made:
            continue  # the teacher's command computes its labels
        if task.kind == "group":
            number = task.runs[0].seed
            seed = ["--set", f"seeds=[{number}]"]
            if (
                plan.suite.teacher.labels != "patches"
            ):  # the control at equal cost depends on the list of seeds
                seed = ["--only-seed", str(number)]
            command = [*first, "distill", *_methods(task, plan), *options, *seed, *training]
        kind, networks = ("teacher", ()) if task.kind == "labels" else (task.kind, task.networks)
        runs = [network.digest for network in networks if network]
        needs = [step.name for step in made if step.name in task.needs]
        made.append(Step(task.name, kind, command, runs, needs, task.flops))
    last = Step("scores", "scores", [*first, "evaluate", *options], [], [step.name for step in made])
    return [*made, last]


def _methods(task: Task, plan: Plan) -> list[str]:
    """Return the methods of a group as options; the user's own by the place of their code."""
    code = {source.name: source.where for source in plan.code}
    parts = [plan.column(run).split("+") for run in task.runs]
    names = ["+".join(code.get(part, part) for part in method) for method in parts]
    return [word for name in names for word in ("--method", name)]


def made_by() -> str:
    """Return the command line as a comment: whatever is in it, it stays in its line."""
    return command_line().encode("unicode_escape").decode()
