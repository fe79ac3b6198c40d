"""`srkd report`: render results as tables, figures, pages and data."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srkd_bench.cli import completion
from srkd_bench.cli.commands.figures import write_figures
from srkd_bench.cli.grids import of_file, of_plan
from srkd_bench.cli.options import (
    Crops,
    Home,
    Json,
    Methods,
    OptionalSuite,
    Settings,
    Teacher,
    refuse,
)
from srkd_bench.cli.output import out
from srkd_bench.cli.registration import DEFAULT_SUITE
from srkd_bench.cli.session import find_plan, find_plans
from srkd_bench.cli.streams import write_file
from srkd_bench.core.errors import ConditionMet, MissingError, SrkdError, unknown
from srkd_bench.experiments.workflow import naming, with_teacher

if TYPE_CHECKING:
    from srkd_bench.core.progress import Display
    from srkd_bench.evaluation.results import Results
    from srkd_bench.experiments.planning.planner import Plan
    from srkd_bench.report.conditions import Condition
    from srkd_bench.report.grids.document import GridDocument
    from srkd_bench.report.render import Content
    from srkd_bench.report.tables.claims import Verdict
    from srkd_bench.store.artifact_store import ArtifactStore


DATA = ("csv", "html", "json", "latex")  # formats that are UTF-8 whatever the terminal shows


class HighlightBy(StrEnum):
    """What determines the best and the second of a table."""

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
        help="File to write; its suffix is the format: .html .md .tex .csv .csv.gz .json .txt; repeatable.",
    ),
]
Source = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="FILE.csv",
        help="Report a score file, written by -o FILE.csv or FILE.csv.gz, instead of the store.",
    ),
]
Reference = Annotated[
    bool, typer.Option("--reference", help="Also show published numbers: the suite's own, or the study's.")
]
Baseline = Annotated[
    str,
    typer.Option(
        "--baseline",
        metavar="METHOD",
        autocompletion=completion.methods,
        help="Method that all others are compared with.",
    ),
]
Highlight = Annotated[
    HighlightBy,
    typer.Option("--highlight", help="Highlight the best by printed value or by statistical significance."),
]
Claims = Annotated[
    bool,
    typer.Option("--claims", help="Check the claims of the suite, or of the study if the suite has none."),
]
Check = Annotated[
    bool,
    typer.Option("--check", help="Check the claims, and exit with code 5 if one fails or 3 if none holds."),
]
FailIf = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-if",
        metavar="CONDITION",
        help="Exit with code 5 if this holds: 'ckd.set5 < none.set5 - 0.05'; repeatable.",
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
CELL = "--cell NAME reports one cell"
NOTHING_YET = "No run of suite {suite} is finished yet. To train it: srkd run {words}"


def report(
    suite: OptionalSuite = None,
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
    check: Check = False,
    fail_if: FailIf = None,
    figures: Figures = None,
    cards: Cards = None,
    crops: WithCrops = True,
    crop: Crops = None,
    home: Home = None,
    json_: Json = False,
) -> None:
    """Print or write a comparison of a suite's finished runs.

    In GitHub Actions, the report is also written to the job summary.
    """
    from srkd_bench.experiments.analysis import collect
    from srkd_bench.report.conditions import check_names, parse
    from srkd_bench.report.document import Document

    if json_:
        refuse("--json", {"--format": format_})
    targets = Targets.of("json" if json_ else format_, output or [], figures, cards)
    conditions = [parse(text) for text in fail_if or []]
    targets.check()
    if source is not None:
        refuse("--from", {"--cards": cards})  # a score file does not tell how networks were trained
    if not crops:
        refuse("--no-crops", {"--crop": crop})
    if not targets.have_page:
        refuse("a report that is not HTML", {"--crop": crop}, "-o report.html, or srkd crops -o crops.png")
    if source is not None and (grid := of_file(source, suite, settings or (), method or (), baseline)):
        refuse("the scores of a grid", {"--teacher": teacher, "--fail-if": fail_if, "--crop": crop})
        refuse("the scores of a grid", {"--reference": reference, "--claims": claims, "--check": check})
        one_cell = len(grid.cells) == 1
        _write(targets, Document(grid.cells[0].results, highlight=highlight.value) if one_cell else grid)
        return
    asked = Asked(suite, with_teacher(settings, teacher), method or (), baseline, home)
    if source is None and (grid := _grid(asked, targets.need_trainings)):
        refuse(
            "a grid", {"--reference": reference, "--claims": claims, "--check": check, "--cards": cards}, CELL
        )
        refuse("a grid", {"--fail-if": fail_if, "--crop": crop}, CELL)
        _write(targets, grid)
        return
    plan, store, display, results = _found(asked, source, targets.need_trainings)
    for condition in conditions:
        check_names(condition, results)
    verdicts = collect.verdicts(results, plan.suite) if claims or check or targets.have_page else []
    panels = collect.find_panels(plan, store, display, crop or []) if crops and targets.have_page else []
    document = Document(results, reference, highlight.value, verdicts, panels, claims or check)
    targets.write(document, display)
    if not results.scores:
        words = shlex.join(naming(suite or DEFAULT_SUITE, asked.settings))
        display.say(NOTHING_YET.format(suite=suite or DEFAULT_SUITE, words=words))
    _summarise(document)
    _fail_if(conditions, results)
    if check:
        _check(verdicts, plan)


def _grid(asked: Asked, trainings: bool) -> GridDocument | None:
    """Return the report of the cells of a grid; None for a suite, or for one cell.

    Args:
        trainings: as in `cell_results`.
    """
    from srkd_bench.config.suite_file import load_grid
    from srkd_bench.experiments.planning.grid import GridPlan

    suite = asked.suite or DEFAULT_SUITE
    if len(load_grid(suite, asked.settings).cells) == 1:
        return None
    plan, store, _ = find_plans(suite, asked.settings, asked.home, readonly=True)
    if not isinstance(plan, GridPlan):
        return None
    return of_plan(plan, store, asked.methods, asked.baseline, trainings=trainings)


def _write(targets: Targets, document: Content) -> None:
    """Write and print the report of a grid, or of one of its cells."""
    from srkd_bench.cli.output import err
    from srkd_bench.core.progress import Display

    targets.write(document, Display(err))
    _summarise(document)


def _summarise(document: Content) -> None:
    """Append the report to the job summary in GitHub Actions."""
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        from srkd_bench.report.render import written

        _append(Path(summary), written(document, "markdown"))


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
        """Check that the format is known."""
        from srkd_bench.report.render import FORMATS

        if self.printed is not None and self.printed not in FORMATS:
            raise unknown("report format", self.printed, FORMATS)

    @property
    def have_page(self) -> bool:
        """Whether one is an html page."""
        return "html" in (self.printed, *(chosen for _, chosen in self.files))

    @property
    def need_trainings(self) -> bool:
        """Whether the training of networks is shown anywhere."""
        return self.have_page or self.figures is not None or self.cards is not None

    def write(self, document: Content, display: Display) -> None:
        """Write the files, and print what is not in one of them."""
        from srkd_bench.core.files import put
        from srkd_bench.report.document import Document
        from srkd_bench.report.formats.data import to_cards
        from srkd_bench.report.render import print_document, write_report, written

        if self.cards and isinstance(document, Document):
            put(self.cards, to_cards(document.results))
            display.say(f"Wrote {self.cards}")
        if self.figures:
            display.say(
                f"Wrote {len(write_figures(document.figures(), self.figures))} files to {self.figures}"
            )
        for path, chosen in self.files:
            write_report(path, written(document, chosen))
            display.say(f"Wrote {path}")
        if self.printed == "terminal" or (self.printed is None and not self.files):
            print_document(document, out)
        elif self.printed is not None and self.printed not in [chosen for _, chosen in self.files]:
            show = write_file if self.printed in DATA else partial(print, end="")
            show(written(document, self.printed))


@dataclass(frozen=True)
class Asked:
    """The request for a report.

    Args:
        suite: as it was named; None if it was not.
        methods: instead of the suite's.
    """

    suite: str | None
    settings: list[str]
    methods: Sequence[str]
    baseline: str
    home: Path | None


Found = tuple["Plan", "ArtifactStore", "Display", "Results"]


def _found(asked: Asked, source: Path | None, trainings: bool) -> Found:
    """Return what is finished of a suite, or the scores of a file."""
    from srkd_bench.experiments.analysis import collect

    if source is not None:
        return _of_file(source, asked)
    suite = asked.suite or DEFAULT_SUITE
    plan, store, display = find_plan(suite, asked.settings, asked.home, asked.methods, readonly=True)
    results = collect.results(plan, store, trainings=trainings, baseline=asked.baseline)
    return plan, store, display, results


def _of_file(source: Path, asked: Asked) -> Found:
    """Return the results of a file of scores, with the plan of the suite that they are of."""
    from srkd_bench.experiments.analysis import collect, origin
    from srkd_bench.report.formats.score_file import read_scores

    scores = read_scores(source)
    suite, settings = asked.suite or origin.suite_of(scores, source), asked.settings
    if (seeds := origin.seeds_of(scores)) and not any(one.startswith("seeds=") for one in settings):
        settings = [*settings, f"seeds={seeds}"]
    plan, store, display = find_plan(suite, settings, asked.home, asked.methods, readonly=True, scored=True)
    collect.check_baseline(asked.baseline, plan)
    origin.refuse_other_settings(scores, plan, source)
    results = collect.results(plan, store, scores=scores, baseline=asked.baseline)
    if not results.scores:
        raise SrkdError(
            f"{source} has no scores of suite {plan.suite.name}",
            f"name their suite: srkd report SUITE --from {shlex.quote(str(source))}",
        )
    notes = results.notes if asked.methods else [*results.notes, *origin.left_out(scores, results)]
    return plan, store, display, replace(results, notes=notes)


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise SrkdError(
            f"cannot write {path}: {error.strerror}", "GITHUB_STEP_SUMMARY names this file; unset it"
        ) from None


def _fail_if(conditions: Sequence[Condition], results: Results) -> None:
    """Raise an error if a condition of --fail-if holds."""
    from srkd_bench.report.conditions import met

    if reasons := [reason for one in conditions if (reason := met(one, results))]:
        raise ConditionMet(f"--fail-if: {'; '.join(reasons)}")


def _check(verdicts: Sequence[Verdict], plan: Plan) -> None:
    """Raise an error if a claim fails, or if none holds."""
    failed = [f"({number}) {one.claim}" for number, one in enumerate(verdicts, 1) if one.verdict == "fails"]
    if failed:
        raise ConditionMet(f"--check: {len(failed)} of {len(verdicts)} claims fail: {'; '.join(failed)}")
    if not any(one.verdict == "holds" for one in verdicts):
        raise MissingError("--check: no claim holds or fails", f"srkd run {plan.suite.name}")
