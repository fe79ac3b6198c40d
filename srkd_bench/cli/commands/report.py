"""`srkd report`: render results as tables, figures, pages and data."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srkd_bench.cli import completion
from srkd_bench.cli.commands.figures import find_panels, write_figures
from srkd_bench.cli.options import (
    Crops,
    Home,
    Json,
    Methods,
    Settings,
    SuiteArgument,
    Teacher,
)
from srkd_bench.cli.output import out
from srkd_bench.cli.registration import DEFAULT_SUITE
from srkd_bench.cli.session import find_plan, with_teacher
from srkd_bench.core.errors import ConditionMet, MissingError, SrkdError, unknown

if TYPE_CHECKING:
    from srkd_bench.config.suite import Suite
    from srkd_bench.core.progress import Display
    from srkd_bench.evaluation.regions import Panel
    from srkd_bench.evaluation.results import Results
    from srkd_bench.evaluation.scores import Score
    from srkd_bench.experiments.planning.planner import Plan
    from srkd_bench.report.conditions import Condition
    from srkd_bench.report.tables.claims import Verdict
    from srkd_bench.store.artifact_store import ArtifactStore


class HighlightBy(StrEnum):
    """What the best and the second of a table go by."""

    PRINTED = "printed"
    SIGNIFICANT = "significant"


Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        "-f",
        metavar="FORMAT",
        autocompletion=completion.formats,
        help="Format to print: terminal, markdown, latex, html, csv or json.",
    ),
]
Outputs = Annotated[
    list[Path] | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write a file; its suffix is the format: .html .md .tex .csv .json .txt; repeatable.",
    ),
]
Source = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="FILE.csv",
        help="Report a score file (written by -o FILE.csv) instead of the store.",
    ),
]
Reference = Annotated[
    bool, typer.Option("--reference", help="Show the numbers that the study published, too.")
]
Baseline = Annotated[
    str, typer.Option("--baseline", metavar="METHOD", help="Method that all others are compared with.")
]
Highlight = Annotated[
    HighlightBy,
    typer.Option("--highlight", help="Highlight the best by printed value, or by statistical significance."),
]
Claims = Annotated[
    bool,
    typer.Option("--claims", help="Check the claims of the suite, or of the study if the suite has none."),
]
FailIf = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-if",
        metavar="CONDITION",
        help="End with exit code 5 if this holds: 'ckd.set5 < none.set5 - 0.05'; repeatable.",
    ),
]
Figures = Annotated[
    Path | None,
    typer.Option("--figures", metavar="DIR", help="Write the figures into a folder, as PDF, PNG and SVG."),
]
Cards = Annotated[
    Path | None,
    typer.Option(
        "--cards",
        metavar="FILE.json",
        help="Write how each network was trained: settings, versions, device, time.",
    ),
]
WithCrops = Annotated[
    bool, typer.Option("--crops/--no-crops", help="Show or omit image crops on an HTML page.")
]


def report(
    suite: SuiteArgument = DEFAULT_SUITE,
    teacher: Teacher = None,
    settings: Settings = None,
    method: Methods = None,
    format_: Format = None,
    output: Outputs = None,
    source: Source = None,
    reference: Reference = False,
    baseline: Baseline = "none",
    highlight: Highlight = HighlightBy.PRINTED,
    claims: Claims = False,
    fail_if: FailIf = None,
    figures: Figures = None,
    cards: Cards = None,
    crops: WithCrops = True,
    crop: Crops = None,
    home: Home = None,
    json_: Json = False,
) -> None:
    """Print or write the comparison of a suite's finished runs. In GitHub Actions, also to the job summary."""
    from srkd_bench.report.conditions import check_names, parse

    targets = Targets.of("json" if json_ else format_, output or [], figures, cards)
    conditions = [parse(text) for text in fail_if or []]
    targets.check()
    changes = with_teacher(settings, teacher)
    scored = source is not None
    plan, store, display = find_plan(suite, changes, home, method or (), readonly=True, scored=scored)
    results = _results(plan, store, source, baseline, trainings=targets.need_trainings)
    for condition in conditions:
        check_names(condition, results)
    verdicts = _verdicts(results, plan.suite) if claims or targets.have_page else []
    panels = find_panels(plan, store, display, crop or []) if crops and targets.have_page else []
    content = Content(results, verdicts, panels, claims, reference, highlight)
    targets.write(content, display)
    if not results.scores:
        display.say(f"No run of suite {suite} is finished yet. To train it: srkd run {shlex.quote(suite)}")
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        _append(Path(summary), content.text("markdown"))
    _fail_if(conditions, results)


@dataclass(frozen=True)
class Content:
    """What a report shows.

    Args:
        verdicts: on claims; a page always shows them.
        claims: whether other formats show them, too.
    """

    results: Results
    verdicts: Sequence[Verdict]
    panels: Sequence[Panel]
    claims: bool
    reference: bool
    highlight: HighlightBy

    def text(self, format: str) -> str:
        """Return it in a format of `FORMATS`."""
        from srkd_bench.report.render import render

        return render(
            self.results,
            format,
            reference=self.reference,
            highlight=self.highlight.value,
            verdicts=self.verdicts if self.claims or format == "html" else [],
            panels=self.panels,
        )

    def print(self) -> None:
        """Print the tables, in the terminal's colours."""
        from srkd_bench.report.render import print_report

        print_report(
            self.results,
            out,
            reference=self.reference,
            highlight=self.highlight.value,
            verdicts=self.verdicts if self.claims else [],
        )


@dataclass(frozen=True)
class Targets:
    """Where a report goes: the format that is printed, if any, and files with their formats."""

    printed: str | None
    files: Sequence[tuple[Path, str]]
    figures: Path | None
    cards: Path | None

    @classmethod
    def of(cls, format_: str | None, output: list[Path], figures: Path | None, cards: Path | None) -> Targets:
        """Return the targets that the options name; the format of a file is known by its suffix."""
        from srkd_bench.report.render import format_of

        return cls(format_, [(path, format_of(path)) for path in output], figures, cards)

    def check(self) -> None:
        """See that the format is known."""
        from srkd_bench.report.render import FORMATS

        if self.printed is not None and self.printed not in FORMATS:
            raise unknown("report format", self.printed, FORMATS)

    @property
    def have_page(self) -> bool:
        """Whether one is an html page."""
        return "html" in (self.printed, *(chosen for _, chosen in self.files))

    @property
    def need_trainings(self) -> bool:
        """Whether how networks were trained is shown somewhere."""
        return self.have_page or self.figures is not None or self.cards is not None

    def write(self, content: Content, display: Display) -> None:
        """Write the files, and print what isn't in one of them."""
        from srkd_bench.core.files import put
        from srkd_bench.report.formats.data import to_cards

        if self.cards:
            put(self.cards, to_cards(content.results))
            display.say(f"Wrote {self.cards}")
        if self.figures:
            display.say(f"Wrote {len(write_figures(content.results, self.figures))} files to {self.figures}")
        for path, chosen in self.files:
            put(path, content.text(chosen))
            display.say(f"Wrote {path}")
        if self.printed == "terminal" or (self.printed is None and not self.files):
            content.print()
        elif self.printed is not None and self.printed not in [chosen for _, chosen in self.files]:
            print(content.text(self.printed), end="")


def _results(
    plan: Plan, store: ArtifactStore, source: Path | None, baseline: str, *, trainings: bool
) -> Results:
    """Return what is finished of a plan, or the scores of a file."""
    from srkd_bench.experiments.analysis import collect

    if baseline not in plan.methods and baseline != "none":
        raise unknown("method", baseline, plan.methods)
    scores = None if source is None else read_scores(source)
    found = collect.results(plan, store, trainings=trainings, scores=scores)
    if source is not None and not found.scores:
        raise SrkdError(f"{source} has no scores of suite {plan.suite.name}", "--suite names another")
    return replace(found, baseline=baseline)


def read_scores(path: Path) -> list[Score]:
    """Return the scores that `srkd report -o FILE.csv` wrote."""
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


def _fail_if(conditions: Sequence[Condition], results: Results) -> None:
    """Raise what --fail-if asks for."""
    from srkd_bench.report.conditions import met

    if reasons := [reason for one in conditions if (reason := met(one, results))]:
        raise ConditionMet(f"--fail-if: {'; '.join(reasons)}")
