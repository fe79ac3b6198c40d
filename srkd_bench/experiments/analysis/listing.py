"""List data sets, suites, methods and runs as plain rows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields
from statistics import fmean
from typing import TYPE_CHECKING, Any

from srkd_bench.config.base import digest_of, short
from srkd_bench.config.network import network_spec
from srkd_bench.config.suite import Suite
from srkd_bench.config.suite_file import load_grid
from srkd_bench.config.suite_names import suite_files
from srkd_bench.core.errors import IntegrityError, MissingError
from srkd_bench.data.catalog import DATASETS, copy_name
from srkd_bench.data.image_set import own_names, packed, spec_of
from srkd_bench.evaluation.scores import Scores
from srkd_bench.experiments.planning.trials import TUNING_SEED
from srkd_bench.methods.metadata import Traits, own_methods
from srkd_bench.store.artifact_store import ArtifactStore, find_run
from srkd_bench.store.layout import CARD, SCORES

if TYPE_CHECKING:
    from srkd_bench.methods.base import Method


def datasets(store: ArtifactStore) -> list[dict[str, Any]]:
    """Return known and registered data sets, and which copy is available locally."""
    found = []
    for name in [*DATASETS, *own_names(store)]:
        spec, pixels = spec_of(store, name), packed(store, name)
        absent = "built in" if spec.builtin else "to download" if spec.sources else "to import"
        found.append(
            {
                "name": name,
                "role": spec.role,
                "images": spec.count,
                "state": "here" if pixels else absent,
                "copy": copy_name(name, pixels) if pixels else "",
            }
        )
    return found


def suites(store: ArtifactStore) -> list[dict[str, Any]]:
    """Return the suites that come with srkd; of a grid, the values of all cells."""
    found = []
    for name in suite_files():
        rows = [_suite(name, cell.suite) for cell in load_grid(name).cells]
        merged = {key: list(dict.fromkeys(row[key] for row in rows)) for key in rows[0]}
        row = {key: own[0] if len(own) == 1 else ", ".join(map(str, own)) for key, own in merged.items()}
        found.append(row | {"cells": len(rows)})
    return found


def _suite(name: str, suite: Suite) -> dict[str, Any]:
    return {
        "name": name,
        "teacher": ", ".join(str(one.model or one.weights) for one in suite.all_teachers),
        "teachers": len(
            suite.seeds if suite.teacher.seeds == "paired" else suite.teacher.seeds or suite.all_teachers
        ),
        "student": str(suite.student),
        "trained on": suite.data.trained_on,
        "measured on": ", ".join(suite.data.test),
        "seeds": len(suite.seeds),
        "steps": suite.train.steps,
    }


def methods(store: ArtifactStore) -> list[dict[str, Any]]:
    """Return the installed methods with their parameters' defaults, and the user's own ones used in the store."""
    from srkd_bench.methods.registry import find, names

    def row(name: str, one: type[Method] | Traits, parameters: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        return {
            "name": name,
            "kind": one.kind,
            "teacher": "yes" if one.looks else "no",
            "stacks": "yes" if one.stacks else "no",
            "parameters": ", ".join(f"{key}={value}" for key, value in parameters),
            "source": one.source,
        }

    installed = {name: find(name) for name in names()}
    own = own_methods(store)
    return [
        *(row(name, one, _defaults(one)) for name, one in installed.items()),
        *(row(name, one, one.params[name].items()) for name, one in own.items() if name not in installed),
    ]


def _defaults(method: type[Method]) -> list[tuple[str, Any]]:
    listed = fields(method)  # type: ignore[arg-type]  # every method is a dataclass
    return [(one.name, one.default) for one in listed if one.default is not MISSING]


def runs(store: ArtifactStore) -> list[dict[str, Any]]:
    """Return the finished runs, the oldest first; runs that this version of srkd cannot read are marked."""
    found, keys = [], store.keys("runs")
    teachers = {short(digest_of(key["teacher"])) for _, key in keys if key.get("teacher")}
    for folder, key in keys:
        try:
            network = network_spec(key["model"])
            row = {
                "run": folder[:12],
                "role": _role(store, folder, key, teachers),
                "method": key["method"],
                "seed": key["seed"],
                "teacher seed": (key["teacher"] or {}).get("seed", ""),
                "network": str(network),
                "scale": network.scale,
                "trained on": key["data"],
                "steps": key["train"]["steps"],
            }
        except (ValueError, LookupError, TypeError, IntegrityError, MissingError):
            store.leave_out(f"runs/{folder}")
        else:
            found.append(row)
    return found


def _role(store: ArtifactStore, folder: str, key: dict[str, Any], teachers: set[str]) -> str:
    """Return `teacher`, `student` or `trial` (of `srkd tune`).

    Args:
        teachers: folders of the teachers of finished runs.
    """
    if folder in teachers:
        return "teacher"
    if key["seed"] >= TUNING_SEED:
        return "trial"
    if key["method"] == "none" and json.loads(store.read(f"runs/{folder}", CARD)).get("role") == "teacher":
        return "teacher"
    return "student"


def one_run(store: ArtifactStore, digits: str) -> dict[str, Any]:
    """Return a run's settings, card and mean scores.

    Raises:
        MissingError: no run has this prefix. SrkdError: several have.
    """
    folder, key = find_run(store, digits)
    path = store.home / "runs" / folder
    scores = {
        one.name: {
            metric: round(fmean(values[metric] for values in one.images.values()), 4)
            for metric in next(iter(one.images.values()))
        }
        for one in measured(store, folder)
    }
    return {
        "run": folder,
        "path": str(path),
        "scores": scores,
        "card": json.loads(store.read(f"runs/{folder}", CARD)),
        **_tuning(store, key),
        "settings": key,
    }


def _tuning(store: ArtifactStore, key: dict[str, Any]) -> dict[str, Any]:
    """Return whether what a run was given was tried in a search: trials are alike but for that and the seeds."""
    plain = key["method"] == "none"

    def setting(one: dict[str, Any]) -> dict[str, Any]:
        names = {part: sorted(values) for part, values in one["params"].items()}
        varied = {"train": one["train"] | {"learning_rate": None}} if plain else {"params": names}
        teacher = one["teacher"] and one["teacher"] | {"seed": None}
        return one | {"seed": None, "teacher": teacher} | varied

    trials = [
        other
        for _, other in store.keys("runs")
        if other["seed"] >= TUNING_SEED and setting(other) == setting(key)
    ]
    if not any(other | {"seed": key["seed"]} == key for other in trials):
        return {}
    what = "this learning rate is" if plain else "these weights are"
    return {"tuning": f"{what} one of {len(trials)} trials with seed {trials[0]['seed']}"}


@dataclass(frozen=True)
class Measured:
    """A run's scores on one data set.

    Args:
        name: of the data set, and whether self-ensemble was used.
        rules: what comparable measurements must share: pixels, scale.
        images: values by image, by metric.
    """

    name: str
    rules: dict[str, Any]
    images: Scores


def measured(store: ArtifactStore, folder: str) -> list[Measured]:
    """Return all scores of a run."""
    found = []
    for name, key in sorted(store.keys("scores")):
        if key["network"].startswith(folder):
            scores = json.loads(store.read(f"scores/{name}", SCORES))
            title = copy_name(scores["dataset"], key["pixels"]) + (
                " (self-ensemble)" if key["self_ensemble"] else ""
            )
            rules = {setting: value for setting, value in key.items() if setting != "network"}
            found.append(Measured(title, rules, scores["images"]))
    return found
