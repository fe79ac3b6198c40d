"""Render a plan as Slurm jobs."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from srkd_bench.config.base import digest_of
from srkd_bench.experiments.executors.scripts import Step, made_by
from srkd_bench.experiments.planning.grid import Plans, name_of, plans_of

GRACE = 120  # seconds before a job's end, for its checkpoint; Slurm may be a minute early or late

SLURM = """\
#!/bin/bash
# {made_by}
# Save it, then submit it: bash FILE [options of sbatch for all jobs, such as --gpus=1 --time=04:00:00]
# It can be submitted again at any time: its jobs wait for those of the same name, and what is finished is not made
# again. A job that its time limit, preemption or a failed node stops resumes from its checkpoint.
set -u
name={name}

case "${{1-}}" in
teacher)
{teacher} ;;
group)
{group} ;;
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
# A job that was cancelled is no longer RUNNING and is not requeued.
if [ "$code" -eq 75 ] && scontrol show job "$job" | grep -q JobState=RUNNING; then scontrol requeue "$job"; fi
exit "$code"
"""


def script(steps: Sequence[Step], plan: Plans, at_once: int | None) -> str:
    """Return a script that submits a plan to Slurm and that the jobs then run. See `ScriptWriter`."""
    of = {
        kind: [step.command for step in steps if step.kind == kind] for kind in ("teacher", "group", "scores")
    }
    submissions, before = [], ""
    for stage in (kind for kind, commands in of.items() if commands):
        options = "--dependency=singleton" + before
        if stage == "group" or len(of[stage]) > 1:
            options += f" --array=0-{len(of[stage]) - 1}" + (f"%{at_once}" if at_once else "")
        submissions.append(f'  stage={stage}; {stage}=$(submit {options} "$@"); echo "{stage}: job ${stage}"')
        # The finished networks are measured even if a run of a group failed.
        before = f",{'afterok' if stage == 'teacher' else 'afterany'}:${stage}"
    return SLURM.format(
        made_by=made_by(),
        name=f"srkd-{name_of(plan)}-{_digest(plan)}",
        here=shlex.quote(str(Path.cwd())),
        teacher=_choice(of["teacher"]),
        group=_choice(of["group"]),
        scores=shlex.join(of["scores"][0]),
        submissions="\n".join(submissions),
        grace=GRACE,
    )


def _digest(plan: Plans) -> str:
    """Return the first digits of a suite's digest, or of those of a grid's cells."""
    digests = [one.suite.digest for one in plans_of(plan)]
    return (digests[0] if len(digests) == 1 else digest_of(digests))[:8]


def _choice(commands: Sequence[Sequence[str]]) -> str:
    """Return the lines by which a job chooses its command: by its number in an array, if it is in one."""
    cases = [f"  {i}) set -- {shlex.join(command)} ;;" for i, command in enumerate(commands)]
    return "\n".join(['  case "${SLURM_ARRAY_TASK_ID-0}" in', *(cases or ["  *) set -- true ;;"]), "  esac"])
