"""The moving average of a student's weights, its initial weights, and the settings of its optimizer."""

import os
import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from srkd_bench.config.artifacts import Run
from srkd_bench.config.network import ModelSpec, NetworkSpec, RcanSpec, network_spec
from srkd_bench.config.suite_file import validated
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import SrkdError, Stopped
from srkd_bench.data.image_set import open_set
from srkd_bench.data.patches import Patches
from srkd_bench.methods import registry
from srkd_bench.methods.base import Method
from srkd_bench.networks.base import Architecture
from srkd_bench.networks.loading import build
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.training.learner import Learner
from srkd_bench.training.loop import fit
from srkd_bench.training.schedule import learning_rate

CPU = torch.device("cpu")
SMALL = ModelSpec(n_feats=4, n_resblocks=4)
RCAN = RcanSpec(arch="rcan", n_resgroups=2, n_resblocks=1, n_feats=4, reduction=2)


def training(**more: object) -> TrainSpec:
    return TrainSpec.model_validate({"batch": 4, "patch": 8, "steps": 6, "learning_rate": 1e-3} | more)


def learner(
    folder: Path, train: TrainSpec, model: NetworkSpec = SMALL, init: dict[str, Tensor] | None = None
) -> Learner:
    method = registry.build("none", {})
    run = Run(
        model=model, train=train, data="photos", pixels="", method="none",
        params=registry.identity(method, "none"), seed=0, teacher=None,
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    return Learner(run, method, None, torch.rand(16, 3, 8, 8), folder, CPU, init=init or {})


def weights(model: Architecture) -> list[Tensor]:
    return [value.detach().clone() for value in model.state_dict().values()]


def trained(one: Learner, store: ArtifactStore, stop: int = 0) -> Learner:
    def watch(step: int) -> None:
        if step == stop:
            os.kill(os.getpid(), signal.SIGTERM)

    fit([one], None, Patches(open_set(store, "photos", 2), one.run.train, 0), device=CPU, watch=watch)
    return one


@pytest.mark.parametrize("model", [SMALL, RCAN], ids=str)
def test_the_average_follows_its_formula_and_leaves_the_student_unchanged(
    model: NetworkSpec, store: ArtifactStore, tmp_path: Path
) -> None:
    plain = trained(learner(tmp_path / "plain", training(), model), store)
    one = learner(tmp_path / "ema", training(ema=0.75), model)
    expected = weights(one.student)
    patches = Patches(open_set(store, "photos", 2), one.run.train, 0)
    for step in range(6):
        lr, hr = patches.batch(step)
        one.advance(lr, hr, None)  # type: ignore[arg-type]  # `none` uses no view
        new = weights(one.student)
        expected = [0.75 * old + 0.25 * value for old, value in zip(expected, new, strict=True)]
    assert all(map(torch.equal, weights(one.student), weights(plain.student)))
    assert plain.result is plain.student
    assert one.result is not one.student
    for ours, theirs in zip(weights(one.result), expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert not all(map(torch.equal, weights(one.result), weights(one.student)))


def test_the_average_resumes_bit_identically(store: ArtifactStore, tmp_path: Path) -> None:
    train = training(ema=0.9)
    whole = trained(learner(tmp_path / "whole", train), store)
    with pytest.raises(Stopped):
        trained(learner(tmp_path / "stopped", train), store, stop=3)
    resumed = learner(tmp_path / "stopped", train)
    assert resumed.step == 3
    trained(resumed, store)
    assert all(map(torch.equal, weights(resumed.result), weights(whole.result)))
    assert all(map(torch.equal, weights(resumed.student), weights(whole.student)))


def test_the_average_is_what_is_validated(store: ArtifactStore, tmp_path: Path) -> None:
    one, seen = learner(tmp_path / "x", training(ema=0.9)), list[Architecture]()

    def validate(model: Architecture) -> float:
        seen.append(model)
        return 30.0

    patches = Patches(open_set(store, "photos", 2), one.run.train, 0)
    fit([one], None, patches, device=CPU, validate=validate)
    assert seen
    assert all(model is one.result for model in seen)


@pytest.mark.parametrize("ema", [None, 0.9])
def test_a_method_follows_what_is_stored_after_each_step(
    ema: float | None, store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[object, ...]] = []

    def note(self: Method, adapter: nn.Module, student: Architecture, done: int, steps: int) -> None:
        calls.append((adapter, student, done, steps, torch.is_grad_enabled()))

    monkeypatch.setattr(Method, "after_step", note)
    one = trained(learner(tmp_path / "x", training(ema=ema)), store)
    assert calls == [(one.adapter, one.result, step, 6, False) for step in range(1, 7)]


@pytest.mark.parametrize("model", [SMALL, RCAN], ids=str)
def test_a_student_starts_from_given_weights(model: NetworkSpec, tmp_path: Path) -> None:
    other = build(model, 7)
    one = learner(tmp_path / "x", training(ema=0.9), model, init=dict(other.state_dict()))
    assert all(map(torch.equal, weights(one.student), weights(other)))
    assert all(map(torch.equal, weights(one.result), weights(other)))


@pytest.mark.parametrize("model", [SMALL, RCAN], ids=str)
@pytest.mark.parametrize(("scale", "own"), [(3, "tail.0.0"), (4, "tail.0.2")])
def test_a_student_of_a_larger_scale_takes_all_but_one_layer_of_the_upsampler(
    scale: int, own: str, model: NetworkSpec, tmp_path: Path
) -> None:
    larger = network_spec(model.model_dump(mode="json") | {"scale": scale})
    other = build(model, 7).state_dict()
    one, fresh = learner(tmp_path / "x", training(), larger, init=dict(other)), build(larger, 0).state_dict()
    for name, value in one.student.state_dict().items():
        assert torch.equal(value, (fresh if name.startswith(own) else other)[name]), name


def test_adam_has_the_betas_of_the_training(tmp_path: Path) -> None:
    for given, betas in (({}, (0.9, 0.999)), ({"betas": [0.9, 0.99]}, (0.9, 0.99))):
        one = learner(tmp_path / str(betas[1]), training(**given))
        assert [group["betas"] for group in one.optimizer.param_groups] == [betas]


def test_a_step_schedule_decays_at_its_milestones() -> None:
    train = training(steps=100, learning_rate=0.01, schedule="step", decay_factor=0.1, milestones=[40, 80])
    rates = [learning_rate(train, step) for step in (0, 39, 40, 79, 80, 99)]
    assert rates == pytest.approx([0.01, 0.01, 0.001, 0.001, 1e-4, 1e-4])


def test_new_settings_change_the_digest_and_their_defaults_do_not() -> None:
    base = training().digest
    assert training(betas=[0.9, 0.999], milestones=[], ema=None).digest == base
    changed = [training(betas=[0.9, 0.99]), training(ema=0.999), training(schedule="step", milestones=[3])]
    assert len({base, training(schedule="step").digest, *(one.digest for one in changed)}) == 5
    for one in changed:
        assert TrainSpec.model_validate_json(one.model_dump_json()) == one


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ema": 1.0}, "ema: must be less than 1, not 1.0"),
        ({"ema": 0.0}, "ema: must be more than 0, not 0.0"),
        ({"ema": -0.5}, "ema: must be more than 0, not -0.5"),
        ({"ema": "high"}, "ema: must be a number, not 'high'"),
        ({"betas": [0.9, 1.0]}, "betas.1: must be less than 1, not 1.0"),
        ({"betas": [0.9]}, "betas"),
        ({"schedule": "step", "milestones": [4, 4]}, "milestones must increase and be less than steps"),
        ({"schedule": "step", "milestones": [4, 2]}, "milestones must increase and be less than steps"),
        ({"schedule": "step", "milestones": [6]}, "milestones must increase and be less than steps"),
        ({"schedule": "step", "milestones": [0]}, "milestones.0: must be at least 1, not 0"),
        ({"milestones": [2]}, "milestones need schedule: step"),
        ({"schedule": "step", "restarts": [2]}, "restarts need schedule: cosine"),
    ],
)
def test_invalid_settings_are_one_error_that_names_the_key(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(SrkdError) as caught:
        validated(TrainSpec, {"steps": 6} | wrong, "train")
    assert message in caught.value.message
