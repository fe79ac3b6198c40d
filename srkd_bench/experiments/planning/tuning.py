"""Plan a search of loss weights and learning rates, and evaluate its trials."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from srkd_bench.config.artifacts import Run
from srkd_bench.config.base import Params
from srkd_bench.config.suite import Suite
from srkd_bench.core.errors import SrkdError
from srkd_bench.data.catalog import DATASETS
from srkd_bench.experiments.planning.parts import without_unused_fusion
from srkd_bench.experiments.planning.planner import Plan, trial_runs, tuning_teacher, verdict
from srkd_bench.experiments.planning.trials import in_words, key_of, searched, settings, tuning_seed
from srkd_bench.methods import sources
from srkd_bench.store.artifact_store import ArtifactStore

SEED_NOISE = 0.04  # dB of PSNR-Y by which students of two seeds are seen to differ, at most


@dataclass(frozen=True)
class Trial:
    """One set of weights, or one learning rate, that was tried.

    Args:
        method: the column.
        number: 0 is the default.
        psnr_y: mean over the validation images, in dB; None if it is not known.
        problem: why `psnr_y` is not known; empty if it is known.
        best: whether it is the method's best.
    """

    method: str
    number: int
    run: Run
    weights: str
    psnr_y: float | None
    problem: str
    best: bool = False

    @property
    def params(self) -> dict[str, Params]:
        """The run's parameters, by part; without distillation, its learning rate."""
        return settings(self.method, self.run)


def searchable(suite: Suite) -> Suite:
    """Return the suite with the weights from which a search starts: those that it has if it is not tuned.

    Raises:
        SrkdError: it has no validation images, or they are used for something else.
    """
    data, hint = suite.data, "--set data.validation=photos-valid, or div2k-valid"
    if data.validation is None:
        problem = f"suite {suite.name} has no validation images, and weights are never chosen by test images"
        raise SrkdError(problem, hint)
    known = DATASETS.get(data.validation)
    if data.validation in (data.train, *data.test) or (known is not None and known.role == "test"):
        used = "trained" if data.validation == data.train else "tested"
        problem = f"weights are not chosen by '{data.validation}': it is what networks are {used} on"
        raise SrkdError(problem, hint)
    return suite.model_copy(update={"tuned": False})


def tunable(plan: Plan, named: Sequence[str]) -> list[str]:
    """Return the columns to search: methods that have weights, controls, and `none` if it is named.

    Args:
        named: by the user one by one; such a method must have weights.
    Raises:
        SrkdError: a named method has none, or there is nothing to search.
    """
    left_out = () if "none" in named else ("none",)
    found = [name for name in plan.methods if name not in left_out and searched(name, plan.traits[name])]
    for name in named:
        if name != "all" and sources.name_of(name) not in found:
            raise SrkdError(f"method '{name}' has no weight to search", "srkd ls methods")
    if not found:
        hint = "--method none searches the learning rate of none"
        raise SrkdError(f"no method of suite {plan.suite.name} has a weight to search", hint)
    return found


def search(plan: Plan, names: Sequence[str], count: int, store: ArtifactStore) -> Plan:
    """Return the plan of a search: its students are the trials, measured on the validation images alone.

    A failed trial is not repeated, since it would fail again.
    """
    seeds = [tuning_seed(plan.suite.seeds)]
    data = plan.suite.data.model_copy(update={"test": [plan.suite.data.validation], "validation": None})
    evaluate = plan.suite.evaluate.model_copy(update={"self_ensemble": False})
    suite = plan.suite.model_copy(update={"seeds": seeds, "data": data, "evaluate": evaluate})
    runs = [run for name in names for run in trial_runs(plan, name, count)]
    left = tuple(run for run in runs if not isinstance(verdict(run, plan, store), str))
    found = replace(plan, suite=suite, teachers=(tuning_teacher(plan),), students=left)
    return without_unused_fusion(found)


def trials(plan: Plan, name: str, count: int, store: ArtifactStore) -> list[Trial]:
    """Return the results of a method's trials, the default first.

    Args:
        plan: of the suite, not of the search.
    """
    names = searched(name, plan.traits[name])
    found = []
    for number, run in enumerate(trial_runs(plan, name, count)):
        value = verdict(run, plan, store)
        problem = value if isinstance(value, str) else "" if value is not None else "not done yet"
        psnr = value if isinstance(value, float) else None
        found.append(Trial(name, number, run, in_words(settings(name, run), names), psnr, problem))
    done = (one for one in found if one.psnr_y is not None)
    best = max(done, key=lambda one: one.psnr_y or 0, default=None)
    return [replace(one, best=one is best) for one in found]


def doubts(plan: Plan, tried: Sequence[Trial]) -> list[str]:
    """Return warnings about a method's best trial: failed trials, a value at the end of the range, a small gain."""
    done = [one for one in tried if one.psnr_y is not None]
    best = next((one for one in done if one.best), None)
    default = next((one for one in done if one.number == 0), None)
    name = tried[0].method
    found, failed = list[str](), [one.problem for one in tried if one.psnr_y is None]
    if failed:
        found.append(f"{name}: {len(failed)} of {len(tried)} trials gave no network: {failed[0]}")
    if best is None:
        return found
    for part, weight in searched(name, plan.traits[name]):
        values = sorted(float(one.params[part][weight]) for one in done)
        value = float(best.params[part][weight])
        if value in (values[0], values[-1]) and values[0] < values[-1]:
            end = "smallest" if value == values[0] else "largest"
            centre = (
                "" if best is default else f", or begin there: --set {key_of(name, part, weight)}={value:g}"
            )
            found.append(
                f"{name}: its best {weight}, {value:g}, is the {end} that was tried: a better one may lie beyond;"
                f" more --trials{centre}"
            )
    if default is not None and best is not default:
        gain = (best.psnr_y or 0) - (default.psnr_y or 0)
        if gain < SEED_NOISE:
            found.append(
                f"{name}: its best is {gain:.3f} dB above the default, less than the {SEED_NOISE} dB by which"
                " another seed alone can move a student: the default may be as good"
            )
    return found


def best_rates(tried: Sequence[Sequence[Trial]]) -> dict[str, str]:
    """Return the settings that give the columns without distillation their best learning rates, by column."""
    best = [one for of_one in tried for one in of_one if one.best and one.run.method == "none"]
    return {
        one.method: f"{key_of(one.method, part, name)}={value}"
        for one in best
        for part, params in one.params.items()
        for name, value in params.items()
    }


def row(one: Trial, default: Trial, share: float | None) -> dict[str, Any]:
    """Return a trial as plain data, for tables and JSON."""
    gain = None if one.psnr_y is None or default.psnr_y is None else one.psnr_y - default.psnr_y
    return {
        "method": one.method,
        "trial": one.number,
        "weights": one.weights,
        "psnr_y": one.psnr_y,
        "against_default": gain,
        "share": share,
        "best": one.best,
        "problem": one.problem,
        "params": one.params,
        "run": one.run.name,
    }
