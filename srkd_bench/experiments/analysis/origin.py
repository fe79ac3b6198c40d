"""The suite and the settings that a file's scores were measured under."""

from collections.abc import Sequence
from pathlib import Path

from srkd_bench.config.suite_names import suite_files
from srkd_bench.core.errors import SrkdError
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score
from srkd_bench.experiments.planning.planner import MISSING, Plan


def suite_of(scores: Sequence[Score], path: Path) -> str:
    """Return the built-in suite that a file's scores are of.

    Raises:
        SrkdError: the file does not say, or its suite is a file of the user's.
    """
    name = _suite(scores)
    if not name:
        raise SrkdError(
            f"{path} does not say which suite its scores are of", f"srkd report SUITE --from {path}"
        )
    if name not in suite_files():
        raise SrkdError(
            f"{path} is of suite {name}, which does not come with srkd",
            f"srkd report {name}.yaml --from {path}",
        )
    return name


def seeds_of(scores: Sequence[Score]) -> list[int]:
    """Return the seeds that a file has scores of."""
    return sorted({score.seed for score in scores if score.seed is not None})


def refuse_other_settings(scores: Sequence[Score], plan: Plan, path: Path) -> None:
    """Refuse scores that were measured under other settings than the plan's, which a report would state.

    Raises:
        SrkdError: the suite or a setting differs.
    """
    suite, name = plan.suite, _suite(scores)
    if name and name != suite.name:
        hint = f"srkd report {name if name in suite_files() else f'{name}.yaml'} --from {path}"
        raise SrkdError(f"{path} is of suite {name}, not {suite.name}", hint)
    differs = scores[0].suite != suite.identity if name else _other_runs(scores, plan)
    if differs:
        raise SrkdError(
            f"{path} was measured under other settings than this report's of suite {suite.name}",
            "give --set and --teacher as for the command that wrote it; `srkd compare` compares two files",
        )


def left_out(scores: Sequence[Score], results: Results) -> list[str]:
    """Return a note on what a file holds beyond the results that are shown of it, if anything."""

    def place(score: Score) -> tuple[object, ...]:
        return score.model, score.dataset, score.seed, score.teacher_seed

    shown = {place(score) for score in results.scores}
    others = [one for one in scores if place(one) not in shown]
    kinds = (
        ("methods", {one.model for one in others} - set(results.columns)),
        ("data sets", {one.dataset for one in others} - set(results.datasets)),
        ("seeds", {str(one.seed) for one in others} - {str(seed) for seed in [None, *results.seeds]}),
        (
            "teachers",
            {str(one.teacher_seed) for one in others} - {str(seed) for seed in [None, *results.teachers]},
        ),
    )
    found = [f"{kind} {', '.join(sorted(names))}" for kind, names in kinds if names]
    return [f"left out of the file, as the suite does not have them: {'; '.join(found)}"] if found else []


def _suite(scores: Sequence[Score]) -> str:
    """Return the name of the suite of a file's scores, which are all of one; empty if it is not known."""
    return scores[0].suite.partition("@")[0] if scores else ""


def _other_runs(scores: Sequence[Score], plan: Plan) -> bool:
    """Say whether scores of an older file are of other runs than the plan's, where these can be told here."""
    if plan.suite.tuned or not plan.knows_teacher or any(run.pixels == MISSING for run in plan.students):
        return False
    digests: dict[tuple[str, int | None], set[str]] = {}
    for run in plan.students:
        digests.setdefault((plan.column(run), run.seed), {""}).add(run.digest)
    return any(
        score.run not in digests.get((score.model, score.seed), {score.run})
        for score in scores
        if score.seed is not None
    )
