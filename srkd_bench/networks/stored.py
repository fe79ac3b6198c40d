"""Load networks from the store, and import weights into it."""

import json
from dataclasses import dataclass

import torch

from srkd_bench.config.artifacts import Run, Weights
from srkd_bench.config.suite import TeacherSpec
from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.core.files import write
from srkd_bench.core.provenance import provenance
from srkd_bench.networks.architectures.custom import Foreign
from srkd_bench.networks.base import Architecture
from srkd_bench.networks.inspection import inspected
from srkd_bench.networks.loading import load_weights, network_of, to_safetensors
from srkd_bench.networks.pretrained import find_weights, hints_of
from srkd_bench.store.artifact_store import ArtifactStore, find_run
from srkd_bench.store.layout import CARD, WEIGHTS
from srkd_bench.store.workspace import Workplace


@dataclass(frozen=True)
class Chosen:
    """A network in the store.

    Args:
        title: its name in messages.
    """

    key: Run | Weights
    model: Architecture
    title: str

    @property
    def name(self) -> str:
        """The shortened id."""
        return self.key.digest[:12]

    @property
    def teacher(self) -> Run | Weights | None:
        """The teacher that it was distilled from, if any."""
        return self.key.teacher if isinstance(self.key, Run) else None


def choose(run: str | None, weights: TeacherSpec | None, place: Workplace) -> Chosen:
    """Find a network by its run or its weights.

    Args:
        run: an unambiguous prefix of a finished run's id, as in `srkd ls`.
        weights: a file, an address or `edsr-official`; it is imported into the store.
    Raises:
        MissingError: no such network. SrkdError: none or both are given, or several runs have this prefix.
    """
    if run is not None and weights is not None:
        raise SrkdError("a run and --weights cannot be combined", "give one of them")
    if run is not None:
        key: Run | Weights = Run.model_validate(find_run(place.store, run)[1])
        assert isinstance(key, Run)
        title = f"{key.method} seed {key.seed}" + ", EMA" * bool(key.train.ema)
    elif weights is None:
        raise SrkdError("no network is named: a run or --weights FILE", "srkd ls runs")
    else:
        key, title = adopt_weights(weights, 2, place), str(weights.weights)
    model = load(key, place.store)
    return Chosen(key, model, f"{title} ({model.spec} ×{model.spec.scale}, {key.digest[:12]})")


def find_teacher(student: Chosen, place: Workplace) -> Chosen | None:
    """Return the network that a student was distilled from; None if there is none or it is not in the store."""
    if (key := student.teacher) is None:
        return None
    try:
        model = load(key, place.store)
    except MissingError:
        place.display.say("the run's teacher is not in the store: it is left out")
        return None
    return Chosen(key, model, f"teacher ({model.spec} ×{model.spec.scale}, {key.digest[:12]})")


def adopt_weights(where: TeacherSpec, scale: int, place: Workplace) -> Weights:
    """Import a file, address or `edsr-official` into the store, and return its key."""
    path, weights = find_weights(where, scale, place.store, place.display)
    with place.store.locked([weights.lock]):
        if not place.store.has(weights):
            model = network_of(path, weights.sha256, hints_of(where, place.store))
            card = provenance(torch.device("cpu")) | {"from": where.weights}
            with place.store.writing(weights) as folder:
                write(folder / WEIGHTS, to_safetensors(model))
                write(folder / CARD, json.dumps(card, indent=1))
        network_of.cache_clear()  # later steps read the store's copy
    return weights


def load(key: Run | Weights, store: ArtifactStore) -> Architecture:
    """Load a finished network after verifying its file.

    Raises:
        MissingError: it is not in the store. IntegrityError: the file is corrupted.
    """
    model = load_weights(store.file(key, WEIGHTS))
    return inspected(model) if isinstance(model, Foreign) else model
