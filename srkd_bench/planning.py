"""What a suite asks for, by the names that it has in the store: networks, scores. Nothing is made here."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from srkd_bench import checkpoint, sources
from srkd_bench.config import Measurement, Run, Suite, Weights
from srkd_bench.errors import SrkdError
from srkd_bench.networks import resolved
from srkd_bench.packs import pixels_of
from srkd_bench.progress import Display
from srkd_bench.scores import Scores
from srkd_bench.store import ArtifactStore
from srkd_bench.traits import Traits, traits

WEIGHTS, CARD, SCORES, EVENTS, FAILED = (
    "weights.safetensors", "card.json", "scores.json", "events.jsonl", "failed.json",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """A suite with its data, teacher and methods looked up.

    Args:
        teacher: the suite's, whether a student looks at it or not.
        students: methods × seeds, seed by seed.
        traits: of the methods, by name.
    """

    suite: Suite
    teacher: Run | Weights
    students: tuple[Run, ...]
    traits: Mapping[str, Traits]

    @property
    def methods(self) -> list[str]:
        """The methods' names, in the suite's order."""
        return list(dict.fromkeys(run.method for run in self.students))


def plan(
    suite: Suite,
    store: ArtifactStore,
    display: Display,
    chosen: Iterable[str] = (),
    *,
    readonly: bool = False,
) -> Plan:
    """Look up what a suite names. Data that isn't here has the digest `missing`; nothing is trained.

    Args:
        chosen: methods instead of the suite's; `all` is every installed one. Only their code may run unasked:
            what a suite names may be a stranger's.
        readonly: leave the store as it is, and download no weights that the suite names by their address.
    Raises:
        SrkdError: an unknown method, parameter or data set, or settings that a method can't work with.
    """
    suite = _resolved(suite, store, readonly=readonly)
    chosen = list(chosen)
    asked = _spread(chosen or suite.methods)
    about = _named_parameters(suite, asked)
    known = traits([*asked, *about, "none"], suite.params, store, readonly=readonly, allowed=chosen)
    names = list(dict.fromkeys(map(sources.name_of, asked)))
    for part in (part for reference in asked for part in reference.split("+")):
        if part.endswith(".py") and not Path(part).exists():
            display.say(f"{part} is not here: what the store has of it as it was last is taken")
    for name in names:
        _check_batch(name, known[name], suite.train.batch)
    for name in suite.data.names:
        pixels_of(store, name)
    pixels = pixels_of(store, suite.data.train) or "missing"
    teacher = _teacher(suite, pixels, known["none"], store, display, readonly=readonly)
    students = tuple(
        Run(
            model=suite.student,
            train=suite.train,
            data=suite.data.train,
            pixels=pixels,
            method=name,
            params=known[name].params,
            seed=seed,
            teacher=teacher if known[name].looks else None,
        )
        for seed in suite.seeds
        for name in names
    )
    return Plan(suite, teacher, students, {name: known[name] for name in names})


def _spread(asked: Iterable[str]) -> list[str]:
    """Return methods with `all` written out."""
    found: list[str] = []
    for one in asked:
        if one == "all":
            from srkd_bench import methods

            found += methods.names()
        else:
            found.append(one)
    return list(dict.fromkeys(found))


def _named_parameters(suite: Suite, asked: list[str]) -> list[str]:
    """Return the installed methods that the suite has parameters for; those of own methods go with these."""
    parts = [part for reference in (*asked, *suite.methods) for part in reference.split("+")]
    own = {sources.name_of(part) for part in parts if sources.is_code(part)}
    return [name for name in suite.params if name not in own]


def _resolved(suite: Suite, store: ArtifactStore, *, readonly: bool) -> Suite:
    """Return the suite with what must be known of its networks written in."""
    teacher = suite.teacher
    if teacher.model is not None:
        model = resolved(teacher.model, store, readonly=readonly)
        teacher = teacher.model_copy(update={"model": model})
    student = resolved(suite.student, store, readonly=readonly)
    return suite.model_copy(update={"student": student, "teacher": teacher})


def _check_batch(name: str, method: Traits, batch: int) -> None:
    if batch < method.min_batch:
        raise SrkdError(
            f"{name} compares the images of a batch and can't work with a batch of {batch}",
            f"--set train.batch={max(8, method.min_batch)}",
        )


def _teacher(
    suite: Suite, pixels: str, none: Traits, store: ArtifactStore, display: Display, *, readonly: bool
) -> Run | Weights:
    if suite.teacher.weights is not None:
        from srkd_bench.pretrained import find_weights

        _, weights = find_weights(suite.teacher, suite.data.scale, store, display, fetch=not readonly)
        if weights.model.scale != suite.data.scale:
            raise SrkdError(
                f"the teacher's weights are for scale {weights.model.scale}, the suite's is {suite.data.scale}"
            )
        return weights
    assert suite.teacher.model is not None
    assert suite.teacher.train is not None
    return Run(
        model=suite.teacher.model,
        train=suite.teacher.train,
        data=suite.data.train,
        pixels=pixels,
        method="none",
        params=none.params,
        seed=0,
        teacher=None,
    )


def announce(plan: Plan, store: ArtifactStore, display: Display) -> None:
    """Say what is in the store and what will be made."""
    runs = (plan.teacher, *plan.students)
    cached = sum(store.has(run) for run in runs)
    begun = sum(checkpoint.steps_done(store.work(run)) > 0 for run in runs)
    more = f" ({begun} of them begun)" if begun else ""
    display.say(
        f"suite {plan.suite.name}: {cached} of {len(runs)} networks are in the store,"
        f" {len(runs) - cached} to make{more}"
    )


def finished(plan: Plan, store: ArtifactStore) -> bool:
    """Say whether all networks and scores of a plan are in the store."""
    networks, suite = (plan.teacher, *plan.students), plan.suite
    return all(store.has(network) for network in networks) and all(
        store.has(measurement(network, pixels, suite.data.scale, self_ensemble=suite.evaluate.self_ensemble))
        for pixels in [pixels_of(store, name) or "missing" for name in suite.data.test]
        for network in (None, *networks)
    )


def measurement(key: Run | Weights | None, pixels: str, scale: int, *, self_ensemble: bool) -> Measurement:
    """Return the key that a network's scores are kept under; bicubic knows no self-ensemble."""
    name = "bicubic" if key is None else key.digest
    return Measurement(
        network=name, pixels=pixels, scale=scale, self_ensemble=self_ensemble and key is not None
    )


def kept_scores(key: Measurement, store: ArtifactStore) -> Scores | None:
    """Return scores that are in the store, or None."""
    if not store.has(key):
        return None
    scores: Scores = json.loads(store.file(key, SCORES).read_text())["images"]
    return scores
