"""List data sets, suites, methods and runs as plain rows."""

import json
from dataclasses import MISSING, dataclass, fields
from statistics import fmean
from typing import Any

from srkd_bench.config.network import network_spec
from srkd_bench.config.suite_file import load_suite
from srkd_bench.config.suite_names import suite_files
from srkd_bench.data.catalog import DATASETS
from srkd_bench.data.image_set import packed
from srkd_bench.evaluation.scores import Scores
from srkd_bench.experiments.planning.trials import TUNING_SEED
from srkd_bench.methods.metadata import own_methods
from srkd_bench.store.artifact_store import ArtifactStore, find_run
from srkd_bench.store.layout import CARD, SCORES


def datasets(store: ArtifactStore) -> list[dict[str, Any]]:
    """Return the data sets that srkd knows, and which are here."""
    return [
        {
            "name": name,
            "role": spec.role,
            "images": spec.count,
            "state": "here" if packed(store, name) else "built in" if spec.builtin else "to download",
        }
        for name, spec in DATASETS.items()
    ]


def suites(store: ArtifactStore) -> list[dict[str, Any]]:
    """Return the suites that come with srkd."""
    return [
        {
            "name": name,
            "teacher": str(suite.teacher.model or suite.teacher.weights),
            "student": str(suite.student),
            "trained on": suite.data.train,
            "measured on": ", ".join(suite.data.test),
            "seeds": len(suite.seeds),
            "steps": suite.train.steps,
        }
        for name in suite_files()
        for suite in [load_suite(name)]
    ]


def methods(store: ArtifactStore) -> list[dict[str, Any]]:
    """Return the installed methods with their parameters' defaults, and own ones as the store last saw them."""
    from srkd_bench.methods.registry import find, names

    def parameters(name: str) -> str:
        listed = fields(find(name))  # type: ignore[arg-type]  # every method is a dataclass
        return ", ".join(f"{one.name}={one.default}" for one in listed if one.default is not MISSING)

    return [
        {
            "name": name,
            "kind": find(name).kind,
            "teacher": "yes" if find(name).looks else "no",
            "parameters": parameters(name),
            "source": find(name).source,
        }
        for name in names()
    ] + [
        {
            "name": name,
            "kind": one.kind,
            "teacher": "yes" if one.looks else "no",
            "parameters": ", ".join(f"{key}={value}" for key, value in one.params[name].items()),
            "source": one.source,
        }
        for name, one in own_methods(store).items()
        if name not in names()
    ]


def runs(store: ArtifactStore) -> list[dict[str, Any]]:
    """Return the finished runs, the oldest first; of those that this srkd can't read, say so."""
    found = []
    for folder, key in store.keys("runs"):
        try:
            row = {
                "run": folder[:12],
                "method": key["method"],
                "seed": key["seed"],
                "network": str(network_spec(key["model"])),
                "trained on": key["data"],
                "steps": key["train"]["steps"],
            }
        except (ValueError, LookupError, TypeError):
            store.leave_out(f"runs/{folder}")
        else:
            found.append(row)
    return found


def one_run(store: ArtifactStore, digits: str) -> dict[str, Any]:
    """Return a run's settings, card and mean scores.

    Raises:
        MissingError: no run's id begins so. SrkdError: several do.
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
    """Return whether a run's weights were tried in a search: trials are alike but for weights and seed."""

    def setting(one: dict[str, Any]) -> dict[str, Any]:
        return one | {
            "seed": None,
            "params": {part: sorted(values) for part, values in one["params"].items()},
        }

    trials = [
        other
        for _, other in store.keys("runs")
        if other["seed"] >= TUNING_SEED and setting(other) == setting(key)
    ]
    if key["method"] == "none" or key["params"] not in [other["params"] for other in trials]:
        return {}
    return {"tuning": f"these weights are one of {len(trials)} trials with seed {trials[0]['seed']}"}


@dataclass(frozen=True)
class Measured:
    """A run's scores on one data set.

    Args:
        name: of the data set, and whether the network was its own ensemble.
        rules: what a measurement that can be compared with it has in common: pixels, scale.
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
            title = scores["dataset"] + (" (self-ensemble)" if key["self_ensemble"] else "")
            rules = {setting: value for setting, value in key.items() if setting != "network"}
            found.append(Measured(title, rules, scores["images"]))
    return found
