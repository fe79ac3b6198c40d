"""What `srkd ls` and `srkd show` tell, as plain rows."""

import json
from collections.abc import Iterator
from dataclasses import MISSING, fields
from statistics import fmean
from typing import Any

from srkd_bench.config import ModelSpec
from srkd_bench.datasets import DATASETS
from srkd_bench.errors import MissingError, SrkdError
from srkd_bench.packs import packed
from srkd_bench.store import MANIFEST, ArtifactStore
from srkd_bench.suitefile import load_suite, suite_files


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
    """Return the installed methods with their parameters' defaults."""
    from srkd_bench.methods import find, names

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
    ]


def runs(store: ArtifactStore) -> list[dict[str, Any]]:
    """Return the finished runs, the oldest first."""
    return [
        {
            "run": folder[:12],
            "method": key["method"],
            "seed": key["seed"],
            "network": str(ModelSpec.model_validate(key["model"])),
            "trained on": key["data"],
            "steps": key["train"]["steps"],
        }
        for folder, key in _runs(store)
    ]


def one_run(store: ArtifactStore, digits: str) -> dict[str, Any]:
    """Return a run's settings, card and mean scores.

    Raises:
        MissingError: no run's id begins so. SrkdError: several do.
    """
    found = [(folder, key) for folder, key in _runs(store) if folder.startswith(digits[:20])]
    if not found:
        raise MissingError(f"no finished run '{digits}'", "srkd ls runs")
    if len(found) > 1:
        raise SrkdError(f"{len(found)} runs begin with '{digits}'", "give more digits")
    folder, key = found[0]
    path = store.home / "runs" / folder
    scores: dict[str, dict[str, float]] = {}
    for kept in (store.home / "scores").glob(f"*/{MANIFEST}"):
        of = json.loads(kept.read_text())["key"]
        if of["network"].startswith(folder):
            measured = json.loads((kept.parent / "scores.json").read_text())
            images = measured["images"].values()
            name = measured["dataset"] + (" (self-ensemble)" if of["self_ensemble"] else "")
            scores[name] = {
                metric: round(fmean(one[metric] for one in images), 4) for metric in next(iter(images))
            }
    return {
        "run": folder,
        "path": str(path),
        "scores": scores,
        "card": json.loads((path / "card.json").read_text()),
        "settings": key,
    }


def _runs(store: ArtifactStore) -> Iterator[tuple[str, dict[str, Any]]]:
    manifests = (store.home / "runs").glob(f"*/{MANIFEST}")
    for manifest in sorted(manifests, key=lambda path: (path.stat().st_mtime, path)):
        yield manifest.parent.name, json.loads(manifest.read_text())["key"]
