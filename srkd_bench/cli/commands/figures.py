"""`srkd crops`, and the figures of reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srkd_bench.cli import completion
from srkd_bench.cli.options import Crops, Device, Home, Settings, Teacher, refuse, run_options
from srkd_bench.cli.registration import DEFAULT_SUITE, OldSuite, leading_suite
from srkd_bench.cli.session import find_plan
from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.experiments.workflow import with_teacher, workplace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

    from srkd_bench.config.artifacts import Run
    from srkd_bench.experiments.planning.planner import Plan


def write_figures(figures: Mapping[str, Figure], directory: Path) -> list[Path]:
    """Write figures as PDF, PNG and SVG, and return the files.

    Args:
        directory: created if missing.
    Raises:
        SrkdError: it cannot be written.
    """
    from srkd_bench.core.files import writable
    from srkd_bench.report.figures.registry import SUFFIXES, save

    with writable(directory):
        directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in figures.items():
        for suffix in SUFFIXES:
            written.append(directory / f"{name}{suffix}")
            save(figure, written[-1])
    return written


REGIONS = 3  # if --count is not given

Output = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="FILE", help="File to write; its suffix is the format: .pdf .png .svg."
    ),
]
SuiteAndRuns = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SUITE] [RUN]…",
        autocompletion=completion.suites_and_runs,
        help="A suite (default: demo) and prefixes of its runs' ids. Default: all runs of the first seed.",
    ),
]
CropsOf = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="NAME",
        autocompletion=completion.datasets,
        help="Data set to choose regions from. Default: the suite's first test set.",
    ),
]


def crops(
    output: Output,
    names: SuiteAndRuns = None,
    old_suite: OldSuite = None,
    teacher: Teacher = None,
    settings: Settings = None,
    crop: Crops = None,
    dataset: CropsOf = None,
    count: Annotated[
        int | None,
        typer.Option("--count", metavar="N", min=1, max=20, help=f"Number of regions. Default: {REGIONS}."),
    ] = None,
    home: Home = None,
    device: Device = "auto",
) -> None:
    """Draw image regions of every network side by side.

    Each region has its PSNR-Y and an error map. Without --crop, the regions where the methods differ most are
    chosen.
    """
    from srkd_bench.experiments.analysis.crops import Gallery, choose, panels, parse
    from srkd_bench.report.figures.crop_sheet import sheet
    from srkd_bench.report.figures.registry import SUFFIXES, save

    if output.suffix.lower() not in SUFFIXES:
        raise SrkdError(f"no image format for '{output.name}'", f"use a suffix of {', '.join(SUFFIXES)}")
    if crop:
        refuse("--crop", {"--dataset": dataset, "--count": count})
    suite, runs = leading_suite(names or [], old_suite)
    plan, store, display = find_plan(suite or DEFAULT_SUITE, with_teacher(settings, teacher), home)
    gallery = Gallery(plan, workplace(store, display, run_options(device)), _students(plan, runs))
    regions = [parse(text, gallery) for text in crop or []]
    regions = regions or choose(gallery, dataset or plan.suite.data.test[0], count or REGIONS)
    for line in gallery.left_out:
        display.say(f"Left out: {line}")
    save(sheet(panels(gallery, regions)), output)
    display.say(f"Wrote {output}")


def _students(plan: Plan, digits: list[str]) -> list[Run]:
    """Return the suite's runs with these id prefixes, in the suite's order."""
    for one in digits:
        if not any(run.digest.startswith(one) for run in plan.students):
            raise MissingError(f"suite {plan.suite.name} has no run '{one}'", "srkd ls runs")
    found = [run for run in plan.students if run.digest.startswith(tuple(digits))] if digits else []
    if len(seeds := sorted({run.seed for run in found})) > 1:
        raise SrkdError(
            f"these runs have different seeds: {', '.join(map(str, seeds))}",
            "a crop sheet shows runs of one seed",
        )
    if len({run.teacher.digest for run in found if run.teacher}) > 1:
        raise SrkdError("these runs have different teachers", "a crop sheet shows runs of one teacher")
    return found
