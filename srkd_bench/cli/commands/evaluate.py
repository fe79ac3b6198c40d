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
    OptionalSuite,
    Range,
    ResScale,
    Settings,
    refuse,
    run_options,
    weights_of,
)
from srkd_bench.cli.output import print_report
from srkd_bench.cli.registration import DEFAULT_SUITE
from srkd_bench.cli.session import find_plans, open_workplace, show_results
from srkd_bench.core.errors import SrkdError
from srkd_bench.experiments.workflow import check_devices, workplace
from srkd_bench.store.workspace import RunOptions

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="bicubic|MODULE:CLASS",
        help="Evaluate bicubic upscaling; or the class of the network in --weights, such as mynets.small:FSRCNN.",
    ),
]
Weights = Annotated[
    str | None, typer.Option("--weights", metavar="FILE", help="Evaluate the network of a weights file.")
]
SrDir = Annotated[
    Path | None,
    typer.Option(
        "--sr-dir", metavar="DIR", help="Evaluate a folder of SR images, matched by name or content."
    ),
]
Datasets = Annotated[
    list[str] | None,
    typer.Option(
        "--datasets",
        metavar="NAME[,NAME…]",
        callback=lists.datasets,
        autocompletion=completion.datasets,
        help="Data sets, or folders of HR images (./mine), instead of the suite's test sets; repeatable.",
    ),
]
Scale = Annotated[
    int | None,
    typer.Option(
        "--scale",
        metavar="N",
        min=2,
        max=4,
        help="Upscaling factor of bicubic, --sr-dir or a class. Default: 2.",
    ),
]
SelfEnsemble = Annotated[
    bool, typer.Option("--self-ensemble", help="Average SR over eight flips and rotations.")
]


def evaluate(
    suite: OptionalSuite = None,
    settings: Settings = None,
    model: Model = None,
    weights: Weights = None,
    range_: Range = None,
    res_scale: ResScale = None,
    sr_dir: SrDir = None,
    datasets: Datasets = None,
    scale: Scale = None,
    self_ensemble: SelfEnsemble = False,
    home: Home = None,
    device: Device = "auto",
    json_: Json = False,
) -> None:
    """Evaluate finished runs, bicubic, weights or SR images.

    Without --model, --weights and --sr-dir, the finished runs of a suite are evaluated.
    """
    names = datasets or []
    network = weights_of(weights, range_, res_scale, model if model != "bicubic" else None, scale)
    chosen = [one for one in (weights or model, sr_dir) if one is not None]
    chosen += [model] if weights and model == "bicubic" else []
    if len(chosen) > 1:
        raise SrkdError("--model, --weights and --sr-dir cannot be combined", "give one of them")
    if not chosen:
        refuse("a suite", {"--scale": scale}, "--set data.scale=3 changes a suite's scale")
        changes = [*(settings or []), *([f"data.test={json.dumps(names)}"] if names else [])]
        changes += ["evaluate.self_ensemble=true"] if self_ensemble else []
        _evaluate_suite(suite or DEFAULT_SUITE, changes, home, run_options(device), json_)
        return
    option = "--weights" if weights else "--sr-dir" if sr_dir else "--model"
    refuse(option, {"SUITE": suite, "--set or --seeds": settings}, f"leave out {option} to evaluate a suite")
    _check(model, weights, names, self_ensemble)
    from srkd_bench.config.distinct import check_distinct
    from srkd_bench.experiments.runs.standalone import measure
    from srkd_bench.report.document import Document

    check_distinct("--datasets", names)
    place = open_workplace(home, device)
    found = measure(names, place, scale=scale, weights=network, sr_dir=sr_dir, self_ensemble=self_ensemble)
    print_report(Document(found), json_)


def _evaluate_suite(
    suite: str, settings: list[str], home: Path | None, options: RunOptions, json_: bool
) -> None:
    from srkd_bench.experiments.planning.grid import plans_of
    from srkd_bench.experiments.planning.status import finished

    plan, store, display = find_plans(suite, settings, home)
    check_devices(options)
    if not finished(plan, store):
        from srkd_bench.experiments.runs.preflight import prepare
        from srkd_bench.experiments.runs.score import ensure_scores

        place = workplace(store, display, options)
        for one in plans_of(plan):
            ensure_scores([None, *one.networks], one, prepare(one, place)[1], place)
    show_results(plan, store, json_)
    for one in plans_of(plan):
        if one.lacking:
            raise one.lacking


def _check(model: str | None, weights: str | None, names: list[str], self_ensemble: bool) -> None:
    """Check that options without a suite are complete."""
    if model not in (None, "bicubic") and weights is None:
        raise SrkdError(
            f"no weights for '{model}'", "--model bicubic, or --model MODULE:CLASS --weights FILE"
        )
    if not names:
        raise SrkdError("no data sets are given", "--datasets set5,set14")
    if self_ensemble and weights is None:
        raise SrkdError("--self-ensemble needs a network", "--weights FILE, or a suite")
