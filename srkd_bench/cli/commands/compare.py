"""`srkd compare` and `srkd advise`: compare two results, and predict a gain from the results of a grid."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srkd_bench.cli import completion
from srkd_bench.cli.options import Home, Json, Methods, Settings, Teacher, refuse
from srkd_bench.cli.output import out, print_json, print_table
from srkd_bench.cli.registration import DEFAULT_SUITE, OldSuite, chosen_suite
from srkd_bench.cli.session import find_plan
from srkd_bench.core.errors import SrkdError
from srkd_bench.experiments.workflow import with_teacher

if TYPE_CHECKING:
    from srkd_bench.evaluation.grids.advice import Summary
    from srkd_bench.evaluation.statistics import Difference
    from srkd_bench.experiments.analysis.compare import Comparison

SHOWN_IMAGES = 3  # that gain, and that lose most
SHOWN_VALUE = 40  # characters of a setting
MOST = 10**15  # far beyond any training, and a float represents it exactly
Params = Annotated[
    int | None,
    typer.Option("--params", metavar="N", min=1, max=MOST, help="Parameters of your student network."),
]
Steps = Annotated[
    int | None, typer.Option("--steps", metavar="N", min=1, max=MOST, help="Training steps of the student.")
]
Images = Annotated[
    int | None, typer.Option("--images", metavar="N", min=1, max=MOST, help="Number of training images.")
]
Source = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="FILE.csv",
        help="Score file of a grid, written by `srkd report -o FILE.csv.gz`. Default: the published map.",
    ),
]


def compare(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="[SUITE] A B",
            autocompletion=completion.methods_and_runs,
            help="A suite (default: demo) and what to compare: two methods, two runs (a prefix of their ids), "
            "or two score files that `srkd report -o FILE.csv` wrote.",
        ),
    ],
    old_suite: OldSuite = None,
    teacher: Teacher = None,
    settings: Settings = None,
    method: Methods = None,
    home: Home = None,
    json_: Json = False,
) -> None:
    """Compare two methods, two runs or two score files.

    Shows paired differences, the images that differ most, and the settings that differ. Of two score files, each
    method is compared with itself, which shows the effect of a setting.
    """
    if len(names) not in (2, 3):
        raise SrkdError("compare takes two names, after an optional suite", "srkd compare demo hkd none")
    *before, first, second = names
    if any(name.endswith((".csv", ".csv.gz")) for name in (first, second)):
        given = {"SUITE": before or old_suite, "--teacher": teacher, "--set or --seeds": settings}
        refuse("score files", given)
        _compare_files(Path(first), Path(second), method or [], json_)
        return
    from srkd_bench.experiments.analysis.compare import compare as pair

    suite = chosen_suite(before[0] if before else None, old_suite) or DEFAULT_SUITE
    changes = with_teacher(settings, teacher)
    plan, store, _ = find_plan(suite, changes, home, method or (), readonly=True)
    compared = pair(first, second, plan, store)
    if json_:
        from srkd_bench.report.formats.data import difference_row

        rows = {"differences": [difference_row(one) for one in compared.differences]}
        print_json({"schema": 2, **asdict(compared), **rows})
    else:
        _print_comparison(compared)


def _compare_files(first: Path, second: Path, methods: list[str], json_: bool) -> None:
    from srkd_bench.experiments.analysis.compare import compare_scores
    from srkd_bench.report.formats.score_file import read_scores

    ours, theirs = (
        [one for one in read_scores(path) if not methods or one.model in methods] for path in (first, second)
    )
    found = compare_scores(ours, theirs)
    trained = {one.model for one in [*ours, *theirs] if one.seed is not None}
    alone = sorted(trained - {one.model for one in found})
    if json_:
        from srkd_bench.report.formats.data import difference_row

        rows = [difference_row(one) for one in found]
        names = {"first": str(first), "second": str(second), "not_compared": alone}
        print_json({"schema": 2, **names, "differences": rows})
        return
    print(f"{first} against {second}, each method against itself\n")
    _print_differences(found)
    if alone:
        from srkd_bench.report.tables.table import one_line

        print(one_line(f"Not compared, as the files share no seed and image: {', '.join(alone)}"))


def _print_differences(found: list[Difference]) -> None:
    """Print a row for each difference, then what was left out and what could not be tested."""
    from srkd_bench.config.metrics import METRICS
    from srkd_bench.report.tables.differences import in_words, probability, shortened, untested, where
    from srkd_bench.report.tables.table import MISSING, one_line

    print_table(
        [
            {
                **({"method": one_line(one.model)} if one.model == one.baseline else {}),
                "data set": where(one.dataset),
                "metric": METRICS[one.metric].label,
                "difference [95 %]": in_words(one, METRICS[one.metric].decimals),
                "Holm p": probability(one.p_holm),
                "verdict": one.verdict or MISSING,
                "seeds": one.seeds,
                "images": one.images,
            }
            for one in found
        ]
    )
    whole = [one for one in found if one.dataset is None] or found
    reasons: dict[str, dict[str, None]] = {}
    for one in whole:
        if reason := untested(one):
            reasons.setdefault(f"No test: {reason}", {})[one.model] = None
        if one.left_out:
            lost = f"Left out, as missing or infinite on one side: {shortened(one.left_out)}"
            reasons.setdefault(lost, {})[one.model] = None
    for reason, models in reasons.items():
        out.print(one_line(f"{reason} ({', '.join(models)})"), markup=False, highlight=False)


def _print_comparison(compared: Comparison) -> None:
    from srkd_bench.config.metrics import METRICS
    from srkd_bench.report.tables.differences import signed, where
    from srkd_bench.report.tables.table import one_line

    print(f"{compared.first} against {compared.second}\n")
    _print_differences(sorted(compared.differences, key=lambda one: one.dataset is not None))  # all first
    print()
    decimals = METRICS[compared.metric].decimals
    for dataset, gains in compared.images.items():
        names = list(gains)
        half = min(SHOWN_IMAGES, len(names) // 2)
        for title, images in (("highest", names[:half]), ("lowest", names[len(names) - half :][::-1])):
            listed = ", ".join(f"{one_line(image)} {signed(gains[image], decimals)}" for image in images)
            out.print(f"{where(dataset)}, {title}: {listed}", markup=False, highlight=False)
    print()
    print_table(
        [
            {"setting": key, compared.first: _short(one), compared.second: _short(other)}
            for key, (one, other) in compared.settings.items()
        ]
    )


def _short(value: object) -> str:
    if value is None:
        return "–"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= SHOWN_VALUE else f"{text[: SHOWN_VALUE - 1]}…"


def advise(
    params: Params = None,
    steps: Steps = None,
    images: Images = None,
    source: Source = None,
    json_: Json = False,
) -> None:
    """Predict what distillation gains for a student of your size, training length and number of images.

    The prediction comes from a regression on the cells of a grid. The output also states whether your training is
    inside the range of the grid, and prints a command that checks the prediction on your own images.
    """
    from srkd_bench.evaluation.grids.advice import advise as answer
    from srkd_bench.report.grids.advice import OPTIONS, advice_data, advice_table, checking_command

    summary = _summary(source)
    given = {"student": params, "train.steps": steps, "data.images": images}
    asked = {axis: float(value) for axis, value in given.items() if value is not None}
    if missing := {
        axis: option for axis, option in OPTIONS.items() if axis in summary.cells[0] and axis not in asked
    }:
        verb = "is" if len(missing) == 1 else "are"
        raise SrkdError(
            f"{', '.join(missing.values())} {verb} missing: {summary.grid} varies {', '.join(missing)}",
            f"give {' '.join(f'{option} N' for option in missing.values())}",
        )
    found = answer(summary, asked)
    command = shlex.join(checking_command(summary, asked))
    if json_:
        print_json(advice_data(summary, found, asked) | {"command": command})
        return
    from srkd_bench.report.formats import terminal

    terminal.print_table(advice_table(summary, found, asked), out)
    print(
        f"\nTo check it on your own images, with ./train and ./test as the folders of the images:\n  {command}"
    )


def _summary(source: Path | None) -> Summary:
    """Return the summary of a score file, or of the published map."""
    from srkd_bench.evaluation.grids.advice import read_summary, summarise
    from srkd_bench.report.formats.grid_file import read_grid

    return read_summary() if source is None else summarise(read_grid(source), "psnr_y")
