"""`srkd crops`, and the figures of reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srkd_bench.cli.options import Crops, Device, Home, Settings, SuiteName, Teacher, run_options
from srkd_bench.cli.session import find_plan, with_teacher, workplace
from srkd_bench.core.errors import MissingError, SrkdError

if TYPE_CHECKING:
    from srkd_bench.config.artifacts import Run
    from srkd_bench.evaluation.results import Results
    from srkd_bench.experiments.planning.planner import Plan


def write_figures(results: Results, directory: Path) -> list[Path]:
    """Write every figure that has something to draw, as PDF, PNG and SVG, and return the files.

    Args:
        directory: made if it isn't there.
    Raises:
        SrkdError: it can't be written.
    """
    from srkd_bench.core.files import writable
    from srkd_bench.report.figures.registry import SUFFIXES, figures, save

    with writable(directory):
        directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in figures(results).items():
        for suffix in SUFFIXES:
            written.append(directory / f"{name}{suffix}")
            save(figure, written[-1])
    return written


def crops(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="By suffix: .pdf .png .svg.")
    ],
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN…",
            help="First digits of runs of the suite; all of its first seed if not given.",
        ),
    ] = None,
    suite: SuiteName = "demo",
    teacher: Teacher = None,
    settings: Settings = None,
    crop: Crops = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Where to look for regions; the suite's first test set.")
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, max=20, help="How many regions to look for.")] = 3,
    home: Home = None,
    device: Device = "auto",
) -> None:
    """Draw regions of images as every network shows them, with PSNR-Y and error maps.

    Without --crop, these are the regions where the methods differ most.
    """
    from srkd_bench.experiments.analysis.crops import Gallery, choose, panels, parse
    from srkd_bench.report.figures.crop_sheet import sheet
    from srkd_bench.report.figures.registry import SUFFIXES, save

    if output.suffix.lower() not in SUFFIXES:
        raise SrkdError(f"no picture format for '{output.name}'", f"end the name in {', '.join(SUFFIXES)}")
    plan, store, display = find_plan(suite, with_teacher(settings, teacher), home)
    gallery = Gallery(plan, workplace(store, display, run_options(device)), _students(plan, runs or []))
    regions = [parse(text, gallery) for text in crop or []]
    regions = regions or choose(gallery, dataset or plan.suite.data.test[0], count)
    for line in gallery.left_out:
        display.say(f"left out: {line}")
    save(sheet(panels(gallery, regions)), output)
    display.say(f"wrote {output}")


def _students(plan: Plan, digits: list[str]) -> list[Run]:
    """Return the suite's runs whose ids begin so, in the suite's order."""
    for one in digits:
        if not any(run.digest.startswith(one) for run in plan.students):
            raise MissingError(f"suite {plan.suite.name} has no run '{one}'", "srkd ls runs")
    found = [run for run in plan.students if run.digest.startswith(tuple(digits))] if digits else []
    if len(seeds := sorted({run.seed for run in found})) > 1:
        raise SrkdError(
            f"these runs are of seeds {', '.join(map(str, seeds))}", "a sheet shows runs of one seed"
        )
    return found
