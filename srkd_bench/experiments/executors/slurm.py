"""A plan as commands for others to run: a shell script, or a job array for Slurm. Each command may be run again."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from srkd_bench.core.errors import command_line
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.planning.tasks import Task
from srkd_bench.methods import sources
from srkd_bench.store.artifact_store import ArtifactStore

GRACE = 120  # seconds before a job's end, for its checkpoint; Slurm may be a minute early or late


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
    plan: Plan,
    store: ArtifactStore,
    found: Sequence[Task],
    suite: str,
    settings: Sequence[str],
    training: Sequence[str] = (),
    device: Sequence[str] = (),
) -> list[Step]:
    """Return a plan's tasks as commands, in order.

    Args:
        suite: a name or a file.
        settings: of `--set`.
        training: options of `srkd distill`.
        device: options of all commands.
    Raises:
        SrkdError: the suite names code that nobody has allowed: as an option of a command it would be allowed.
    """
    for source in plan.code:
        sources.check_allowed(source)
    suite = str(Path(suite).absolute()) if suite.endswith((".yaml", ".yml")) else suite
    where = [
        "--suite",
        suite,
        *(word for one in settings for word in ("--set", one)),
        "--home",
        str(store.home),
    ]
    where += [*device, *(["--offline"] if os.environ.get("SRKD_OFFLINE") == "1" else [])]
    first = ["srkd", *(["--trust"] if sources.trusted() else [])]
    code = {source.name: source.where for source in plan.code}
    made = []
    for task in (task for task in found if task.kind != "scores"):
        command = [*first, "train-teacher", *where]
        if task.kind == "group":
            parts = [plan.column(run).split("+") for run in task.runs]
            names = ["+".join(code.get(part, part) for part in method) for method in parts]
            chosen = [word for name in names for word in ("--method", name)]
            command = [*first, "distill", *chosen, *where, "--set", f"seeds=[{task.runs[0].seed}]", *training]
        runs = [network.digest for network in task.networks if network]
        made.append(Step(task.name, task.kind, command, runs, list(task.needs), task.flops))
    return [*made, Step("scores", "scores", [*first, "evaluate", *where], [], [step.name for step in made])]


SHELL = """\
#!/bin/sh
# {made_by}
# One command after the other. It may be run again at any time: what is finished isn't made again.
cd {here} || exit 1
failed=0
make() {{  # a run that failed (6) is reported, and the others go on; anything else ends the script
  "$@" >/dev/null || {{ code=$?; [ "$code" -eq 6 ] && failed=6 || exit "$code"; }}
}}
{steps}
{scores} || exit
exit "$failed"
"""


def shell(todo: Sequence[Step]) -> str:
    """Return a shell script that makes a plan; its last command prints the table."""
    *made, last = todo
    how = {"teacher": "{} >/dev/null || exit", "group": "make {}"}
    return SHELL.format(
        made_by=_made_by(),
        here=shlex.quote(str(Path.cwd())),
        steps="\n".join(how[step.kind].format(shlex.join(step.command)) for step in made),
        scores=shlex.join(last.command),
    )


SLURM = """\
#!/bin/bash
# {made_by}
# Save it, then submit it: bash FILE [options of sbatch for all jobs, such as --gpus=1 --time=04:00:00]
# It may be submitted again at any time: its jobs wait for those of the same name, and what is finished isn't made
# again. A job that its time limit, preemption or a failed node stops goes on from its checkpoint.
set -u
name={name}

case "${{1-}}" in
teacher) set -- {teacher} ;;
group)
  case "$SLURM_ARRAY_TASK_ID" in
{groups}
  esac ;;
scores) set -- {scores} ;;
*)
  [ -f "$0" ] || {{ echo "save this script as a file first" >&2; exit 1; }}
  script=$(realpath "$0")
  submit() {{
    sbatch --parsable --job-name="$name-$stage" --chdir={here} --requeue --open-mode=append \\
      --signal=B:TERM@{grace} "$@" "$script" "$stage"
  }}
  set -e
{submissions}
  exit ;;
esac

# Within a job: Slurm's TERM is passed on once, and srkd ends with 75 when its checkpoint is written.
stopped=
trap 'trap "" TERM; stopped=1; kill -TERM "$work"' TERM
"$@" &
work=$!
wait "$work"
code=$?
if [ "$stopped" ]; then
  wait "$work"
  code=$?
fi
job=$SLURM_JOB_ID
if [ "${{SLURM_ARRAY_JOB_ID-}}" ]; then job=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID; fi
# A job that was cancelled isn't RUNNING any more, and is not queued again.
if [ "$code" -eq 75 ] && scontrol show job "$job" | grep -q JobState=RUNNING; then scontrol requeue "$job"; fi
exit "$code"
"""


def slurm(todo: Sequence[Step], plan: Plan, at_once: int | None) -> str:
    """Return a script that submits a plan to Slurm, and is what the jobs run.

    Args:
        at_once: how many groups may run at once.
    """
    of = {
        kind: [step.command for step in todo if step.kind == kind] for kind in ("teacher", "group", "scores")
    }
    array = f" --array=0-{len(of['group']) - 1}" + (f"%{at_once}" if at_once else "")
    submissions, before = [], ""
    for stage in (kind for kind, commands in of.items() if commands):
        options = "--dependency=singleton" + before + (array if stage == "group" else "")
        submissions.append(f'  stage={stage}; {stage}=$(submit {options} "$@"); echo "{stage}: job ${stage}"')
        # Scores are measured of what there is, even if a group had a run that failed.
        before = f",{'afterok' if stage == 'teacher' else 'afterany'}:${stage}"
    cases = [f"  {i}) set -- {shlex.join(command)} ;;" for i, command in enumerate(of["group"])]
    return SLURM.format(
        made_by=_made_by(),
        name=f"srkd-{plan.suite.name}-{plan.suite.digest[:8]}",
        here=shlex.quote(str(Path.cwd())),
        teacher=shlex.join(of["teacher"][0] if of["teacher"] else ["true"]),
        groups="\n".join(cases or ["  *) set -- true ;;"]),
        scores=shlex.join(of["scores"][0]),
        submissions="\n".join(submissions),
        grace=GRACE,
    )


def _made_by() -> str:
    """Return the command line as a comment: whatever is in it, it stays in its line."""
    return command_line().encode("unicode_escape").decode()
