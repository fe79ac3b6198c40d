import subprocess
import sys
from pathlib import Path

import pytest

from docs_generators import traits
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core import sealed_cache
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.experiments.planning.planner import plan
from srkd_bench.experiments.planning.status import finished
from srkd_bench.methods import metadata, registry
from srkd_bench.store.artifact_store import ArtifactStore
from tests.support.commands import printed_without_torch
from tests.support.tiny_suite import tiny_suite

NAMES = ["none", "hkd", "rkd+hkd"]
PARAMS: dict[str, dict[str, int | float | bool | str]] = {"hkd": {"weight": 0.5}}


@pytest.fixture
def imports_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: object) -> None:
        raise AssertionError("the methods are asked again")

    monkeypatch.setattr(registry, "build", refuse)


def known(store: ArtifactStore) -> dict[str, metadata.Traits]:
    return metadata.traits(NAMES, PARAMS, store)


def test_traits_match_the_methods(store: ArtifactStore) -> None:
    found = known(store)
    assert {name: one.looks for name, one in found.items()} == {"none": False, "hkd": True, "rkd+hkd": True}
    assert [one.min_batch for one in found.values()] == [1, 1, 2]
    assert found["rkd+hkd"].params == {
        "rkd": {"version": 1, "weight": 0.25},
        "hkd": {"version": 1, "weight": 0.5},
    }
    assert (
        found["hkd"].summary
        == "Output distillation (HKD): match the student's SR to the teacher's as well as to HR."
    )
    assert (found["hkd"].kind, found["hkd"].source[:13]) == ("response", "Hinton et al.")
    assert found["rkd+hkd"].summary == "RKD and HKD at once, the loss against HR counted once."


def test_cached_traits_need_no_import(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    store.begin()
    first = known(store)
    request.getfixturevalue("imports_refused")
    assert known(store) == first
    with pytest.raises(AssertionError, match="asked again"):
        metadata.traits(["hkd"], {"hkd": {"weight": 0.25}}, store)


@pytest.mark.parametrize("change", [b"0.75", b"0.5 ", b""], ids=["another number", "spaces", "cut"])
def test_a_damaged_cache_is_ignored(store: ArtifactStore, change: bytes) -> None:
    store.begin()
    first = known(store)
    path = store.home / "methods.json"
    whole = path.read_bytes()
    assert b"0.5" in whole
    path.write_bytes(whole.replace(b"0.5", change) if change else whole[: len(whole) // 2])
    assert known(store) == first
    assert path.read_bytes() == whole


def test_changed_code_is_imported_again(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    store.begin()
    known(store)
    monkeypatch.setattr(metadata, "code", lambda: "other")
    request.getfixturevalue("imports_refused")
    with pytest.raises(AssertionError, match="asked again"):
        known(store)


def test_a_read_only_store_is_no_error(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*words: object) -> None:
        raise SrkdError("no room")

    store.begin()
    monkeypatch.setattr(sealed_cache, "put", full)
    assert known(store)["hkd"].looks


def test_read_only_use_writes_no_cache(store: ArtifactStore, display: Display, tmp_path: Path) -> None:
    store.begin()
    plan(load_suite(str(tiny_suite(tmp_path, methods=["none", "rvkd"]))), store, display, readonly=True)
    assert not (store.home / "methods.json").exists()


def test_wrong_parameters_are_named_and_not_cached(store: ArtifactStore) -> None:
    store.begin()
    for _ in range(2):
        with pytest.raises(SrkdError, match=r"params\.hkd\.weight"):
            metadata.traits(["hkd"], {"hkd": {"weight": -1.0}}, store)


def test_a_finished_suite_is_shown_without_torch(
    store: ArtifactStore, display: Display, tmp_path: Path
) -> None:
    suite = tiny_suite(tmp_path, methods=["none", "rvkd"])
    words = [sys.executable, "-m", "srkd_bench", "run", str(suite), "--home", str(store.home)]
    subprocess.run(words, check=True, capture_output=True)
    assert finished(plan(load_suite(str(suite)), store, display, readonly=True), store)
    for command in (
        ["report", str(suite)],
        ["run", str(suite)],
        ["evaluate", str(suite)],
    ):
        assert "RVKD" in printed_without_torch(*command, "--home", str(store.home))


def test_the_shipped_traits_are_those_of_the_code() -> None:
    """If this fails, run `python -m docs_generators.traits`."""
    shipped = metadata._shipped().read().traits
    wanted: dict[str, metadata.Traits] = {}
    for name, params, loss in traits.requests():
        metadata._look_up(name, params, loss, [], wanted)
    assert shipped == wanted


def test_published_scores_are_reported_without_torch_and_without_a_store(tmp_path: Path) -> None:
    scores, home = Path(__file__).parents[2] / "results/bsds/scores.csv.gz", tmp_path / "home"
    assert "RVKD" in printed_without_torch("report", "bsds", "--from", str(scores), "--home", str(home))
    assert not home.exists()
