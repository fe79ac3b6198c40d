"""Determine the suite and settings of a score file."""

from collections.abc import Sequence
from pathlib import Path

from srkd_bench.config.suite_names import suite_files
from srkd_bench.core.errors import SrkdError
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.planning.teachers import MISSING

EARLIER = {
    "bsds@71a46234611bba82096c": "bsds@aafbb314aaa0202ab5a2",
    "bsds-more@95e0fa0148c17bdcdb86": "bsds-more@aafbb314aaa0202ab5a2",
    "bsds-pretrained@d761ff1af522f05f1e3d": "bsds-pretrained@28433dd4f8367056b55d",
    "bsds-tuned@e99e16a2fb7a78e172e3": "bsds-tuned@f06e80cfc74ba33276be",
}
"""Identities of suites that name parameters since defaults have changed, and those of the same settings before."""


def suite_of(scores: Sequence[Score], path: Path) -> str:
    """Return the built-in suite of a score file.

    Raises:
        SrkdError: the file does not name it, or its suite is a user's file.
    """
    name = _suite(scores)
    if not name:
        raise SrkdError(f"{path} does not name the suite of its scores", f"srkd report SUITE --from {path}")
    if name not in suite_files():
        raise SrkdError(
            f"{path} is of suite {name}, which does not come with srkd",
            f"srkd report {name}.yaml --from {path}",
        )
    return name


def seeds_of(scores: Sequence[Score]) -> list[int]:
    """Return the seeds of a file's scores."""
    return sorted({score.seed for score in scores if score.seed is not None})


def refuse_other_settings(scores: Sequence[Score], plan: Plan, path: Path) -> None:
    """Reject scores whose settings differ from the plan's, since a report would state the wrong settings.

    Raises:
        SrkdError: the suite or a setting differs.
    """
    suite, name = plan.suite, _suite(scores)
    if name and name != suite.name:
        hint = f"srkd report {name if name in suite_files() else f'{name}.yaml'} --from {path}"
        raise SrkdError(f"{path} is of suite {name}, not {suite.name}", hint)
    known = not name or scores[0].suite in (suite.identity, EARLIER.get(suite.identity))
    if not known or _other_runs(scores, plan):
        raise SrkdError(
            f"{path} was measured under other settings than this report's of suite {suite.name}",
            "give --set and --teacher as for the command that wrote it; `srkd compare` compares two files",
        )


def left_out(scores: Sequence[Score], results: Results) -> list[str]:
    """Return a note on scores in a file that the results do not show, if there are any."""

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
    return [f"in the file, but not in the suite, so not shown: {'; '.join(found)}"] if found else []


def _suite(scores: Sequence[Score]) -> str:
    """Return the name of the only suite of a file's scores; empty if it is not known."""
    return scores[0].suite.partition("@")[0] if scores else ""


def _other_runs(scores: Sequence[Score], plan: Plan) -> bool:
    """Return whether scores are of other runs than the plan's, if the runs can be identified.

    The identity of a suite does not tell: the default of a method's parameter may have changed since.
    """
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
