"""`srkd report` and `srkd compare`: what is finished, as tables, data and verdicts."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srkd_bench.cli.commands.figures import find_panels, write_figures
from srkd_bench.cli.options import (
    Crops,
    Home,
    Json,
    Methods,
    Settings,
    SuiteArgument,
    SuiteName,
    SuiteOption,
    Teacher,
    suite_name,
)
from srkd_bench.cli.output import out, print_json, print_table
from srkd_bench.cli.session import find_plan, with_teacher
from srkd_bench.core.errors import ConditionMet, MissingError, SrkdError, unknown

if TYPE_CHECKING:
    from srkd_bench.config.suite import Suite
    from srkd_bench.evaluation.results import Results
    from srkd_bench.evaluation.scores import Score
    from srkd_bench.evaluation.statistics import Difference
    from srkd_bench.experiments.analysis.compare import Comparison
    from srkd_bench.report.tables.claims import Verdict


SHOWN_IMAGES = 3  # that gain, and that lose most
SHOWN_VALUE = 40  # characters of a setting


class HighlightBy(StrEnum):
    """What the best and the second of a table go by."""

    PRINTED = "printed"
    SIGNIFICANT = "significant"


def report(
    suite: SuiteArgument = None,
    suite_option: SuiteOption = None,
    teacher: Teacher = None,
    settings: Settings = None,
    method: Methods = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            help="terminal, markdown, latex, html, csv or json; on stdout if no -o is of it.",
        ),
    ] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="By suffix: .html .md .tex .csv .json .txt; repeatable."
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE.csv", help="Scores that `-o FILE.csv` wrote, not the store's."),
    ] = None,
    reference: Annotated[
        bool, typer.Option("--reference", help="Put the study's own numbers beside.")
    ] = False,
    baseline: Annotated[
        str, typer.Option("--baseline", metavar="METHOD", help="What all others are compared with.")
    ] = "none",
    highlight: Annotated[
        HighlightBy, typer.Option("--highlight", help="By printed value, or by what the seeds show.")
    ] = HighlightBy.PRINTED,
    claims: Annotated[
        bool, typer.Option("--claims", help="Check the suite's claims, or the study's if it has none.")
    ] = False,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-if",
            metavar="CONDITION",
            help="End with exit code 5 if so: 'ckd.set5 < none.set5 - 0.05'; repeatable.",
        ),
    ] = None,
    figures: Annotated[
        Path | None, typer.Option("--figures", metavar="DIR", help="Draw it too, as PDF, PNG and SVG.")
    ] = None,
    cards: Annotated[
        Path | None,
        typer.Option("--cards", metavar="FILE.json", help="Write how each network was trained, too."),
    ] = None,
    crops: Annotated[
        bool, typer.Option("--crops/--no-crops", help="Whether an html page shows regions of images.")
    ] = True,
    crop: Crops = None,
    home: Home = None,
    json_: Json = False,
) -> None:
    """Print the comparison table of what is finished so far; in GitHub's CI, put it into the step's summary too."""
    from srkd_bench.core.files import put
    from srkd_bench.experiments.analysis import collect
    from srkd_bench.report import conditions
    from srkd_bench.report.formats.data import to_cards
    from srkd_bench.report.render import FORMATS, format_of, print_report, render

    files = [(path, format_of(path)) for path in output or []]
    asked = [conditions.parse(text) for text in fail_if or []]
    format_ = "json" if json_ else format_
    formats = {format_, *(chosen for _, chosen in files)}
    if format_ is not None and format_ not in FORMATS:
        raise unknown("report format", format_, FORMATS)
    suite, changes = suite_name(suite, suite_option), with_teacher(settings, teacher)
    scored = source is not None
    plan, store, display = find_plan(suite, changes, home, method or (), readonly=True, scored=scored)
    if baseline not in plan.methods and baseline != "none":
        raise unknown("method", baseline, plan.methods)
    trainings = "html" in formats or figures is not None or cards is not None
    scores = None if source is None else _read_scores(source)
    found = collect.results(plan, store, trainings=trainings, scores=scores)
    if source is not None and not found.scores:
        raise SrkdError(f"{source} has no scores of suite {plan.suite.name}", "--suite names another")
    results = replace(found, baseline=baseline)
    verdicts = _verdicts(results, plan.suite) if claims or "html" in formats else []
    panels = find_panels(plan, store, display, crop or []) if crops and "html" in formats else []

    asked_for = verdicts if claims else []  # a page always has them

    def text_in(chosen: str) -> str:
        shown = verdicts if chosen == "html" else asked_for
        return render(
            results, chosen, reference=reference, highlight=highlight.value, verdicts=shown, panels=panels
        )

    if cards:
        put(cards, to_cards(results))
        display.say(f"wrote {cards}")
    if figures:
        display.say(f"wrote {len(write_figures(results, figures))} files to {figures}")
    for path, chosen in files:
        put(path, text_in(chosen))
        display.say(f"wrote {path}")
    if format_ == "terminal" or (format_ is None and not files):
        print_report(results, out, reference=reference, highlight=highlight.value, verdicts=asked_for)
    elif format_ is not None and format_ not in [chosen for _, chosen in files]:
        print(text_in(format_), end="")
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        _append(Path(summary), text_in("markdown"))
    if reasons := [reason for one in asked if (reason := conditions.met(one, results))]:
        raise ConditionMet(f"--fail-if: {'; '.join(reasons)}")


def _read_scores(path: Path) -> list[Score]:
    from srkd_bench.report.formats.data import from_csv

    try:
        return from_csv(path.read_text(encoding="utf-8"), path.name)
    except FileNotFoundError:
        raise MissingError(f"no file '{path}'", "srkd report -o scores.csv writes one") from None
    except (OSError, UnicodeError) as error:
        raise SrkdError(f"cannot read {path}: {error}") from None


def _verdicts(results: Results, suite: Suite) -> list[Verdict]:
    """Return the verdicts on the suite's claims, whose names must be known, or on the study's."""
    from srkd_bench.report.study import study_claims
    from srkd_bench.report.tables.claims import check, refuse_unknown_names

    if suite.claims:
        refuse_unknown_names(results, suite.claims)
    return check(results, suite.claims or study_claims())


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise SrkdError(
            f"cannot write {path}: {error.strerror}", "GITHUB_STEP_SUMMARY names this file; unset it"
        ) from None


def compare(
    first: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="A method, the first digits of a run's id, or scores that `report -o FILE.csv` wrote.",
        ),
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="What A is compared with.")],
    suite: SuiteName = "demo",
    teacher: Teacher = None,
    settings: Settings = None,
    method: Methods = None,
    home: Home = None,
    json_: Json = False,
) -> None:
    """Compare two methods of a suite, or two runs: paired differences, images, settings.

    Of two files of scores, each method is compared with itself: what did a setting change?
    """
    from srkd_bench.experiments.analysis import compare as compare_module

    if first.endswith(".csv") or second.endswith(".csv"):
        _compare_files(Path(first), Path(second), method or [], json_)
        return
    changes = with_teacher(settings, teacher)
    plan, store, _ = find_plan(suite, changes, home, method or (), readonly=True)
    compared = compare_module.compare(first, second, plan, store)
    if json_:
        from srkd_bench.report.formats.data import difference_row

        rows = {"differences": [difference_row(one) for one in compared.differences]}
        print_json({"schema": 1, **asdict(compared), **rows})
    else:
        _print_comparison(compared)


def _compare_files(first: Path, second: Path, methods: list[str], json_: bool) -> None:
    from srkd_bench.experiments.analysis import compare as compare_module

    ours = [one for one in _read_scores(first) if not methods or one.model in methods]
    found = compare_module.compare_scores(ours, _read_scores(second))
    if json_:
        from srkd_bench.report.formats.data import difference_row

        rows = [difference_row(one) for one in found]
        print_json({"schema": 1, "first": str(first), "second": str(second), "differences": rows})
        return
    print(f"{first} against {second}, each method against itself\n")
    _print_differences(found)


def _print_differences(found: list[Difference]) -> None:
    """Print a row for each difference; with the methods, where they are compared with themselves."""
    from srkd_bench.config.metrics import METRICS
    from srkd_bench.report.tables.differences import in_words, where
    from srkd_bench.report.tables.table import one_line

    print_table(
        [
            {
                **({"method": one_line(one.model)} if one.model == one.baseline else {}),
                "data set": where(one.dataset),
                "metric": METRICS[one.metric].label,
                "difference [95 %]": in_words(one, METRICS[one.metric].decimals),
                "p": "–" if one.p is None else f"{one.p:.3f}",
                "verdict": one.verdict,
                "seeds": one.seeds,
                "images": one.images,
            }
            for one in found
        ]
    )


def _print_comparison(compared: Comparison) -> None:
    from srkd_bench.config.metrics import METRICS
    from srkd_bench.report.tables.differences import signed, where

    print(f"{compared.first} against {compared.second}\n")
    _print_differences(compared.differences)
    print()
    decimals = METRICS[compared.metric].decimals
    for dataset, gains in compared.images.items():
        names = list(gains)
        half = min(SHOWN_IMAGES, len(names) // 2)
        for title, images in (("highest", names[:half]), ("lowest", names[len(names) - half :][::-1])):
            listed = ", ".join(f"{image} {signed(gains[image], decimals)}" for image in images)
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
