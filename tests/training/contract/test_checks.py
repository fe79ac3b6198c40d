"""The contract for every installed method, found without a list of names."""

import math
import re
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
import torch
from rich.console import Console

from srkd_bench.config.suite import Suite
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.experiments.planning.planner import plan
from srkd_bench.methods import registry
from srkd_bench.methods.base import KINDS, Method
from srkd_bench.networks.loading import build
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.training.contract import checks
from srkd_bench.training.contract.harness import STUDENT, Taught, lesson, trained
from srkd_bench.training.contract.random_encoder import completed

INSTALLED = registry.names()
NAMES = [
    *INSTALLED,
    "rkd+hkd",
    "ckd+rvkd",
    "fakd+augkd+crosskd",
    "dml+fitnet",
    "byot+at",
    "mtkd+ckd",
    "dckd+hkd",
]

every_method = pytest.mark.parametrize("name", NAMES)
every_installed_method = pytest.mark.parametrize("name", INSTALLED)


def built(name: str) -> Method:
    """Return a method with its defaults, and a random encoder if it needs one."""
    return completed(registry.build(name, {}))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Networks this small are slower on several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("check", checks.CHECKS)
@every_method
def test_a_method_fulfils_the_contract(name: str, check: str) -> None:
    checks.CHECKS[check](checks.subject(name))


@every_method
def test_every_term_is_positive(name: str) -> None:
    assert all(loss > 0 for loss in lesson(built(name)).losses().values())


@every_method
def test_only_methods_with_never_zero_have_a_loss_for_equal_networks(name: str) -> None:
    method = built(name)
    if method.looks and method.never_zero:
        terms = lesson(method, equal=True).losses()
        assert any(loss.item() > 1e-10 for term, loss in terms.items() if term != "rec")


@every_method
def test_a_too_small_batch_is_rejected_before_work(name: str, tmp_path: Path) -> None:
    method = built(name)
    params = {
        part: {key: value for key, value in values.items() if key in registry.required(registry.find(part))}
        for part, values in registry.identity(method, name).items()
    }
    store, display = ArtifactStore(tmp_path), Display(Console(file=sys.stderr))

    def planned(batch: int) -> list[str]:
        teachers = [{"model": {"n_feats": width, "n_resblocks": 4}} for width in (6, 8)]
        suite = {
            "name": "tiny",
            "data": {"train": "photos", "test": ["photos-test"]},
            **({"teachers": teachers} if method.fuses else {"teacher": teachers[0]}),
            "student": {"n_feats": 4, "n_resblocks": 4},
            "train": {"batch": batch, "steps": 3},
            "methods": [name],
            "params": params,
        }
        return plan(Suite.model_validate(suite), store, display).methods

    assert planned(method.min_batch) == [name]
    if method.min_batch > 1:
        with pytest.raises(SrkdError, match=re.escape(name) + ".* a batch of 1$") as caught:
            planned(1)
        assert caught.value.hint == "--set train.batch=8"


@every_installed_method
def test_a_method_has_a_kind_and_a_source(name: str) -> None:
    method = registry.find(name)
    assert method.kind in KINDS
    assert re.search(r"\b(19|20)\d\d, (arXiv:\d{4}\.\d{5}|doi:10\.\d{4,}/\S+)$", method.source)
    assert method.version >= 1
    assert method.min_batch >= 1
    assert list(method.taps) == sorted({tap for tap in method.taps if 0 < tap <= 1})
    # A dataclass without docstring gets its signature as one.
    assert method.__doc__
    assert not method.__doc__.startswith(f"{method.__name__}(")
    assert sys.modules[method.__module__].__doc__


@every_installed_method
def test_every_parameter_has_a_default_and_bounds(name: str) -> None:
    for field in fields(registry.find(name)):  # type: ignore[arg-type]  # every method is a dataclass
        assert field.default is not MISSING, field.name
        assert registry.build(name, {name: {field.name: field.default}}) == registry.build(name, {})
        number = type(field.default) in (int, float)
        for wrong in (-1, math.inf, math.nan, True, None) if number else (-1, "-"):
            with pytest.raises(SrkdError, match=rf"^params\.{name}\.{field.name}: .*, not "):
                registry.build(name, {name: {field.name: wrong}})


@every_installed_method
def test_a_method_does_not_change_once_it_is_built(name: str) -> None:
    method = registry.build(name, {})
    assert method == registry.build(name, {})
    assert hash(method) == hash(registry.build(name, {}))  # dataclasses that are not frozen have no hash


@pytest.fixture(scope="module")
def together() -> dict[str, Taught]:
    torch.manual_seed(1)
    return trained({name: built(name) for name in NAMES})


@every_method
def test_a_student_is_independent_of_all_other_methods(name: str, together: dict[str, Taught]) -> None:
    torch.manual_seed(2)
    alone = trained({name: built(name)})[name]
    assert len(alone.terms) == 4
    assert alone.equals(together[name])
    before = build(STUDENT, 3).state_dict()
    assert not torch.equal(before["head.0.weight"], alone.weights["head.0.weight"])
