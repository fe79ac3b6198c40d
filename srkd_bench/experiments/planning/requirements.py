"""List the artifacts that suites need."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from srkd_bench.config.artifacts import ARTIFACTS, Pack
from srkd_bench.config.base import Artifact
from srkd_bench.config.suite import Suite
from srkd_bench.core.errors import MissingError
from srkd_bench.core.progress import Display
from srkd_bench.data import ingest
from srkd_bench.data.image_set import pixels_of, spec_of
from srkd_bench.evaluation.scores import measurement
from srkd_bench.experiments.planning import planner
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.gc import Waste, describe, leftovers, refuse_other_suites, waste_at
from srkd_bench.store.layout import LOCK, PART, SHA256, download_of, lock_of
from srkd_bench.store.locks import is_held
from srkd_bench.store.verify import entries


def unneeded(store: ArtifactStore, suites: Iterable[Suite], display: Display) -> list[Waste]:
    """Return what none of the suites needs, leftovers among it.

    Raises:
        MissingError: a suite's data is missing, so that its artifacts are unknown.
        SrkdError: another process makes what no suite here needs: nobody can tell what else it needs.
    """
    home, keep = store.home, set[str]()
    for asked in suites:
        suite = planner.with_data(asked, store, display, readonly=True)
        keys = needed(store, suite, display)
        keep |= {key.place for key in keys} | {f"work/{key.unfinished}" for key in keys}
        keep |= {f"downloads/{path.name}" for path in _sources(store, suite)}
    refuse_other_suites(home, keep)
    found = {waste.path: waste for waste in leftovers(store)}
    for kind in (*ARTIFACTS, "work"):
        for path in entries(home / kind):
            if f"{kind}/{path.name}" not in keep and path not in found:
                found[path] = waste_at(path, describe(path))
    for path in entries(home / "downloads"):
        stays = f"downloads/{download_of(path)}" in keep or path.suffix in (LOCK, SHA256)
        if not stays and path not in found and not is_held(lock_of(home, path)):
            found[path] = waste_at(path, "half a download" if path.suffix == PART else "download")
    for path in entries(home / "peeked"):
        found[path] = waste_at(path, "single files of the shared store, fetched when they are needed")
    return [found[path] for path in sorted(found) if path.parent not in found]


def needed(store: ArtifactStore, suite: Suite, display: Display) -> list[Artifact]:
    """Return the keys of all that a suite needs: networks, trials of tuned weights, scores, labels, image packs.

    Raises:
        MissingError: data or the teacher's weights are missing, so that the keys are unknown.
    """
    suite = planner.with_data(suite, store, display, readonly=True)
    names, scale = suite.data.names, suite.data.scale
    pixels = {name: pixels_of(store, name) for name in names}
    if missing := " ".join(name for name in names if pixels[name] is None):
        raise MissingError(
            f"what belongs to suite {suite.name} cannot be told without its data: {missing}",
            f"srkd download {missing}",
        )
    plan = planner.plan(suite, store, display, readonly=True)
    networks = [*plan.all_teachers, *plan.students]
    trials = [run for runs in plan.trials.values() for run in runs]
    networks += [planner.tuning_teacher(plan)] if trials else []
    networks += [run.init for run in plan.students[:1] if run.init is not None]
    ensemble = suite.evaluate.self_ensemble
    scores = [
        measurement(network, pixels[name] or "", scale, self_ensemble=ensemble)
        for name in suite.data.test
        for network in (None, *networks)
    ]
    validation = pixels.get(suite.data.validation or "") or ""
    scores += [measurement(run, validation, scale, self_ensemble=False) for run in trials]
    labels = [key for run in (*plan.students, *trials) if (key := run.teacher_labels) is not None]
    packs = [Pack(dataset=name, scale=one) for name in names for one in (1, scale)]
    return [*networks, *trials, *scores, *dict.fromkeys(labels), *packs]


def _sources(store: ArtifactStore, suite: Suite) -> Iterator[Path]:
    """Yield the paths of the downloads of a suite's data sets and teachers, downloaded or not."""
    from srkd_bench.networks import pretrained

    for name in suite.data.names:
        yield from (ingest.kept_at(store, source) for source in spec_of(store, name).sources)
    for weights in filter(None, (*(one.weights for one in suite.all_teachers), suite.student_init)):
        if path := pretrained.kept_at(store, weights):
            yield path
