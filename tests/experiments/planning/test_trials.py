import math

import pytest

from srkd_bench.config.base import Params
from srkd_bench.experiments.planning.trials import (
    LARGEST,
    _point,
    in_words,
    trial,
    trial_rate,
    tuning_seed,
    varied,
    weights,
)
from srkd_bench.methods import registry
from srkd_bench.methods.metadata import Traits, traits
from srkd_bench.store.artifact_store import ArtifactStore


@pytest.fixture
def rkd_hkd(store: ArtifactStore) -> Traits:
    return traits(["rkd+hkd"], {"rkd": {"weight": 25.0}, "hkd": {"weight": 0.5}}, store)["rkd+hkd"]


def one_weight(weight: float, **others: float | str) -> Traits:
    params: dict[str, Params] = {"m": {"version": 1, "weight": weight, **others}}
    names = {"m": ["weight", *(name for name, value in others.items() if type(value) is float)]}
    about = {
        "looks": True,
        "fuses": False,
        "labels": True,
        "live": False,
        "min_batch": 1,
        "min_patch": 1,
        "stacks": False,
        "summary": "",
        "kind": "",
        "source": "",
    }
    return Traits.model_validate({"params": params, "weights": names, **about})


def tried(method: Traits, part: str, name: str, count: int) -> list[float]:
    return [float(trial(method, i)[part][name]) for i in range(count)]


def test_the_first_trial_is_exactly_the_default(rkd_hkd: Traits) -> None:
    assert trial(rkd_hkd, 0) == rkd_hkd.params
    assert trial(one_weight(0.123456789), 0)["m"]["weight"] == 0.123456789


def test_seven_trials_of_one_weight_are_evenly_spread_from_a_tenth_to_ten_times() -> None:
    found = sorted(tried(one_weight(2.0), "m", "weight", 7))
    assert found == [pytest.approx(2 * 10 ** (2 * i / 8 - 1), rel=0.005) for i in range(1, 8)]


def test_two_weights_are_varied_independently(rkd_hkd: Traits) -> None:
    pairs = [(p["rkd"]["weight"], p["hkd"]["weight"]) for p in (trial(rkd_hkd, i) for i in range(12))]
    places = [(math.log10(float(a) / 25), math.log10(float(b) / 0.5)) for a, b in pairs]
    assert all(-1 <= x <= 1 and -1 <= y <= 1 for x, y in places)
    quarters = {(x > 0, y > 0) for x, y in places[1:]}
    assert len(quarters) == 4
    assert len({x for x, _ in places}) == len({y for _, y in places}) == 12


def test_a_zero_weight_stays_zero_and_other_parameters_are_unchanged() -> None:
    method = one_weight(1.0, angle=0.0, form="B")
    assert weights(method) == [("m", "weight")]
    assert all(trial(method, i)["m"] | {"weight": 1.0} == method.params["m"] for i in range(5))
    assert trial(method, 1)["m"]["weight"] != 1.0


def test_only_valid_weights_are_tried() -> None:
    assert max(tried(one_weight(LARGEST), "m", "weight", 7)) == LARGEST


def test_learning_rates_are_tried_from_a_quarter_to_four_times() -> None:
    assert [trial_rate(1.5e-3, i) for i in range(4)] == [0.0015, 0.00075, 0.003, 0.00053]
    found = sorted(trial_rate(1e-3, i) for i in range(7))
    assert found == [pytest.approx(1e-3 * 4 ** (2 * i / 8 - 1), rel=0.005) for i in range(1, 8)]
    assert trial_rate(0.123456789, 0) == 0.123456789
    assert max(trial_rate(0.9, i) for i in range(7)) == 1.0


def test_tried_weights_have_three_digits() -> None:
    assert all(value == float(f"{value:.3g}") for value in tried(one_weight(0.7), "m", "weight", 20))


def test_the_seed_of_trials_is_not_a_seed_of_the_suite() -> None:
    assert tuning_seed([0, 1]) == tuning_seed([5]) == 1_000_000
    assert tuning_seed([1_000_000, 1_000_001]) == 1_000_002


def test_weights_are_prefixed_by_their_part_in_compositions(rkd_hkd: Traits) -> None:
    assert in_words(rkd_hkd.params, weights(rkd_hkd)) == "rkd.weight=25, hkd.weight=0.5"
    assert in_words({"ckd": {"weight": 0.5, "form": "B"}}, [("ckd", "weight"), ("ckd", "form")]) == (
        "weight=0.5, form=B"
    )


def test_only_loss_weights_are_weights() -> None:
    assert registry.weights(registry.build("rvkd", {}), "rvkd") == {"rvkd": ["weight"]}
    assert registry.weights(registry.build("none", {}), "none") == {"none": []}


def test_runs_of_a_method_are_labelled_by_differing_weights() -> None:
    from srkd_bench.config.artifacts import Run
    from srkd_bench.config.network import ModelSpec
    from srkd_bench.config.training import TrainSpec

    def run(weight: float) -> Run:
        return Run(
            model=ModelSpec(n_feats=1, n_resblocks=1), train=TrainSpec(steps=1), data="photos", pixels="",
            method="hkd", params={"hkd": {"version": 1, "weight": weight}}, seed=0, teacher=None,
        )  # fmt: skip

    runs = [run(1.0), run(2.0)]
    assert varied(runs[0], runs) == [("hkd", "weight")]
    assert varied(runs[0], runs[:1]) == []


def test_the_sequence_starts_at_the_centre_of_every_range() -> None:
    assert _point(0, 5) == pytest.approx([0.5] * 5)
    assert _point(1, 3) == pytest.approx([1 / 4, 5 / 6, 7 / 10])
