"""`srkd evaluate`: measure networks or SR images on data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from srkd_bench.cli import completion, lists
from srkd_bench.cli.options import (
    Device,
    Home,
    Json,
    Settings,
    SuiteArgument,
    run_options,
)
from srkd_bench.cli.output import err, print_results
from srkd_bench.cli.registration import DEFAULT_SUITE
from srkd_bench.cli.session import find_plan, open_store, show_results, workplace
from srkd_bench.core.errors import SrkdError
from srkd_bench.store.workspace import RunOptions

Model = Annotated[str | None, typer.Option("--model", metavar="bicubic", help="Evaluate bicubic upscaling.")]
Weights = Annotated[
    str | None, typer.Option("--weights", metavar="FILE", help="Evaluate the network of a weights file.")
]
SrDir = Annotated[
    Path | None,
    typer.Option("--sr-dir", metavar="DIR", help="Evaluate a folder of SR images, matched by name."),
]
Datasets = Annotated[
    list[str] | None,
    typer.Option(
        "--datasets",
        metavar="NAME[,NAME…]",
        callback=lists.datasets,
        autocompletion=completion.datasets,
        help="Data sets instead of the suite's test sets; repeatable.",
    ),
]
Scale = Annotated[
    int, typer.Option("--scale", min=2, max=4, help="Upscaling factor of --model bicubic and --sr-dir.")
]
SelfEnsemble = Annotated[
    bool, typer.Option("--self-ensemble", help="Average over eight flips and rotations.")
]


def evaluate(
    suite: SuiteArgument = DEFAULT_SUITE,
    settings: Settings = None,
    model: Model = None,
    weights: Weights = None,
    sr_dir: SrDir = None,
    datasets: Datasets = None,
    scale: Scale = 2,
    self_ensemble: SelfEnsemble = False,
    home: Home = None,
    device: Device = "auto",
    json_: Json = False,
) -> None:
    """Evaluate a suite's finished runs, or bicubic, a weights file or a folder of SR images."""
    names = datasets or []
    chosen = [one for one in (model, weights, sr_dir) if one is not None]
    if len(chosen) > 1:
        raise SrkdError("--model, --weights and --sr-dir cannot be combined", "give one of them")
    if not chosen:
        changes = [*(settings or []), *([f"data.test={json.dumps(names)}"] if names else [])]
        changes += ["evaluate.self_ensemble=true"] if self_ensemble else []
        _evaluate_suite(suite, changes, home, run_options(device), json_)
        return
    _check(model, weights, names, self_ensemble)
    from srkd_bench.core.progress import Display
    from srkd_bench.experiments.runs.standalone import measure

    place = workplace(open_store(home), Display(err), run_options(device))
    found = measure(names, place, scale=scale, weights=weights, sr_dir=sr_dir, self_ensemble=self_ensemble)
    print_results(found, json_)


def _evaluate_suite(
    suite: str, settings: list[str], home: Path | None, options: RunOptions, json_: bool
) -> None:
    from srkd_bench.experiments.planning.status import finished

    plan, store, display = find_plan(suite, settings, home)
    if not finished(plan, store):
        from srkd_bench.experiments.runs.preflight import prepare
        from srkd_bench.experiments.runs.score import ensure_scores

        place = workplace(store, display, options)
        ensure_scores([None, *plan.networks], plan, prepare(plan, place)[1], place)
    show_results(plan, store, json_)


def _check(model: str | None, weights: str | None, names: list[str], self_ensemble: bool) -> None:
    """See that what needs no suite is fully described."""
    if model not in (None, "bicubic"):
        raise SrkdError(f"no model named '{model}'", "--model bicubic, or --weights FILE")
    if not names:
        raise SrkdError("no data sets are given", "--datasets set5,set14")
    if self_ensemble and weights is None:
        raise SrkdError("--self-ensemble needs a network", "--weights FILE, or a suite")
