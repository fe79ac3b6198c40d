"""`srkd evaluate`: measure a network on data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from srkd_bench.cli.options import (
    Device,
    Home,
    Json,
    Offline,
    Settings,
    SuiteArgument,
    SuiteOption,
    suite_name,
)
from srkd_bench.cli.output import (
    err,
    print_results,
    print_scores,
)
from srkd_bench.cli.session import find_plan, open_store, workplace
from srkd_bench.core.errors import SrkdError


def evaluate(
    suite: SuiteArgument = None,
    suite_option: SuiteOption = None,
    settings: Settings = None,
    model: Annotated[str | None, typer.Option("--model", help="`bicubic`: needs no suite.")] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", metavar="FILE", help="Any network's weights: needs no suite.")
    ] = None,
    sr_dir: Annotated[
        Path | None,
        typer.Option("--sr-dir", metavar="DIR", help="Anyone's SR images, by name: needs no suite."),
    ] = None,
    datasets: Annotated[
        str | None, typer.Option("--datasets", metavar="A,B", help="Instead of the suite's.")
    ] = None,
    scale: Annotated[int, typer.Option("--scale", min=2, max=4, help="Of bicubic and --sr-dir.")] = 2,
    self_ensemble: Annotated[
        bool, typer.Option("--self-ensemble", help="Mean over 8 flips and rotations.")
    ] = False,
    home: Home = None,
    device: Device = "auto",
    offline: Offline = False,
    json_: Json = False,
) -> None:
    """Measure a suite's finished runs, or bicubic, a weights file or a folder of SR images."""
    names = [name.strip() for name in (datasets or "").split(",") if name.strip()]
    if (model is not None) + (weights is not None) + (sr_dir is not None) > 1:
        raise SrkdError(
            "--model, --weights and --sr-dir are three ways to say what to measure", "give one of them"
        )
    if model is None and weights is None and sr_dir is None:
        changes = [*(settings or [])]
        changes += [f"data.test={json.dumps(names)}"] if names else []
        changes += ["evaluate.self_ensemble=true"] if self_ensemble else []
        from srkd_bench.experiments.planning import status

        plan, store, display = find_plan(suite_name(suite, suite_option), changes, home)
        if not status.finished(plan, store):
            from srkd_bench.experiments.runs import preflight, score

            place = workplace(store, display, device)
            score.ensure_scores([None, *plan.networks], plan, preflight.prepare(plan, place)[1], place)
        print_results(plan, store, json_)
        return
    if model not in (None, "bicubic"):
        raise SrkdError(f"no model named '{model}'", "--model bicubic, or --weights FILE")
    if not names:
        raise SrkdError("say what to measure on", "--datasets set5,set14")
    if self_ensemble and weights is None:
        raise SrkdError(
            "--self-ensemble goes with --weights", "SR images and bicubic are measured as they are"
        )
    from srkd_bench.core.progress import Display
    from srkd_bench.experiments.runs import standalone

    place = workplace(open_store(home), Display(err), device)
    results = standalone.measure(
        names, place, scale=scale, weights=weights, sr_dir=sr_dir, self_ensemble=self_ensemble
    )
    print_scores(results, json_)
