"""Stacks: students that are trained as one grouped network stay independent and learn what they learn alone."""

import math
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from srkd_bench.config.artifacts import Run
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import STACK_WIDTH, TrainSpec
from srkd_bench.core.errors import SrkdError, Stopped
from srkd_bench.data.image_set import open_set
from srkd_bench.data.patches import Patches
from srkd_bench.methods import registry
from srkd_bench.methods.base import Losses, Method, Step
from srkd_bench.networks.loading import build, to_safetensors
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.training.learner import Learner
from srkd_bench.training.loop import fit
from srkd_bench.training.stack import WIDEST, stacks_of

CPU = torch.device("cpu")
STUDENT = ModelSpec(n_feats=4, n_resblocks=4)
TRAIN = TrainSpec(batch=4, patch=8, steps=8, learning_rate=1e-3, stacked=True)
FOUR = [("none", 0), ("hkd", 0), ("ckd", 1), ("rkd+hkd", 2)]
SEVEN = [("none", 5), ("rkd+hkd", 2), ("hkd", 3), ("none", 0), ("ckd", 1), ("hkd", 0), ("rkd", 4)]
TWELVE = [*(("none", seed) for seed in range(3, 7)), *FOUR[::-1], *(("hkd", seed) for seed in range(3, 7))]

Names = Sequence[tuple[str, int]]


class Lab:
    """Train stacked learners on the built-in photographs, in a separate folder."""

    def __init__(self, store: ArtifactStore, folder: Path) -> None:
        self.folder = folder
        self.images = open_set(store, "photos", 2)
        self.teacher = build(ModelSpec(n_feats=6, n_resblocks=4), "teacher").requires_grad_(False).eval()

    def learner(
        self, name: str, seed: int, place: str, train: TrainSpec = TRAIN, method: Method | None = None
    ) -> Learner:
        method = method or registry.build(name, {})
        params = registry.identity(method, name) if name in registry.names() or "+" in name else {}
        run = Run(
            model=STUDENT,
            train=train,
            data="photos",
            pixels="",
            method=name,
            params=params,
            seed=seed,
            teacher=None,
        )
        folder = self.folder / place / f"{name}-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        return Learner(run, method, None, torch.rand(16, 3, 8, 8), folder, CPU)

    def train(
        self, learners: Sequence[Learner], watch: Callable[[int], None] = lambda step: None
    ) -> Sequence[Learner]:
        train = learners[0].run.train
        patches = {one.run.seed: Patches(self.images, train, one.run.seed) for one in learners}
        fit(learners, self.teacher, patches, device=CPU, watch=watch)
        return learners

    def trained(self, names: Names, place: str, train: TrainSpec = TRAIN) -> dict[tuple[str, int], bytes]:
        learners = self.train([self.learner(name, seed, place, train) for name, seed in names])
        assert [one.error for one in learners] == [None] * len(names)
        return {key: to_safetensors(one.result) for key, one in zip(names, learners, strict=True)}


@pytest.fixture
def lab(store: ArtifactStore, tmp_path: Path) -> Lab:
    return Lab(store, tmp_path / "work")


@dataclass(frozen=True)
class Failing(Method):
    """A loss that is not finite at one step."""

    kind = "none"
    source = "test"
    looks = False
    stacks = True
    at: int = 3

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        return {"rec": step.rec * (math.inf if step.progress >= self.at / TRAIN.steps else 1)}


@pytest.mark.parametrize("changes", [{}, {"precision": "bf16"}, {"ema": 0.9}], ids=str)
def test_the_weights_of_a_student_do_not_depend_on_its_stack(lab: Lab, changes: Mapping[str, object]) -> None:
    train = TrainSpec.model_validate(TRAIN.model_dump() | dict(changes))
    found = {key: lab.trained([key], f"alone {key}", train)[key] for key in FOUR}
    assert len(set(found.values())) == len(FOUR)
    for names in (FOUR, SEVEN, TWELVE, [*TWELVE, *SEVEN[:2]]):
        many = lab.trained(list(dict.fromkeys(names)), f"{len(names)}", train)
        assert {key: many[key] for key in FOUR} == found


def test_a_stack_learns_what_each_student_learns_without_it(lab: Lab) -> None:
    apart = TRAIN.model_copy(update={"stacked": False})
    for name, seed in [*FOUR, ("mtkd", 0)]:
        (one,) = lab.train([lab.learner(name, seed, "stacked")])
        (other,) = lab.train([lab.learner(name, seed, "apart", apart)])
        for ours, theirs in zip(one.student.parameters(), other.student.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)
        for event, expected in zip(one.events, other.events, strict=True):
            assert event["share"] == pytest.approx(expected["share"], rel=1e-3)
            assert event["terms"] == pytest.approx(expected["terms"], rel=1e-3)


def test_stacked_training_resumes_bit_identically_and_beside_others(lab: Lab) -> None:
    whole = lab.trained(FOUR, "whole")

    def interrupt(step: int) -> None:
        if step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        lab.train([lab.learner(name, seed, "stopped") for name, seed in FOUR], watch=interrupt)
    size = max(path.stat().st_size for path in (lab.folder / "stopped").rglob("*") if path.is_file())
    assert size < 2 * 16 * STUDENT.parameters + 20_000  # of one student, not of the stack
    resumed = [lab.learner(name, seed, "stopped") for name, seed in FOUR]
    assert [one.step for one in resumed] == [5] * 4
    others = [lab.learner("none", seed, "stopped") for seed in (7, 8, 9)]
    lab.train([*resumed[::-1], *others])  # students that are ahead wait for the others
    assert {key: to_safetensors(one.result) for key, one in zip(FOUR, resumed, strict=True)} == whole


def test_a_student_that_fails_does_not_change_the_others(lab: Lab) -> None:
    expected = lab.trained(FOUR, "expected")
    learners = [lab.learner(name, seed, "beside") for name, seed in FOUR]
    failing = lab.learner("failing", 1, "beside", method=Failing())
    before: list[Tensor] = []

    def watch(step: int) -> None:
        if step == 3:
            before.extend(weight.detach().clone() for weight in failing.student.parameters())
        if step == 4:  # the loss of step 3 is not finite: its update is masked
            assert all(map(torch.equal, before, failing.student.parameters()))

    lab.train([*learners[:2], failing, *learners[2:]], watch)
    assert failing.error is not None
    assert failing.error.message == "failing seed 1: loss 'rec' is inf at step 3"
    assert [one.error for one in learners] == [None] * 4
    assert {key: to_safetensors(one.result) for key, one in zip(FOUR, learners, strict=True)} == expected


def test_weights_that_are_not_finite_stay_in_their_group(lab: Lab) -> None:
    expected = lab.trained(FOUR, "expected")
    learners = [lab.learner(name, seed, "beside") for name, seed in FOUR]
    broken = lab.learner("none", 9, "beside")
    with torch.no_grad():
        next(broken.student.parameters()).fill_(math.nan)
    lab.train([*learners[:1], broken, *learners[1:]])
    assert broken.error is not None
    assert {key: to_safetensors(one.result) for key, one in zip(FOUR, learners, strict=True)} == expected


def test_a_method_that_needs_a_further_pass_is_refused(lab: Lab) -> None:
    class Looking(Failing):
        def losses(self, step: Step, adapter: nn.Module) -> Losses:
            return {"rec": step.rec, "again": step.see(step.lr).sr.mean()}

    with pytest.raises(SrkdError, match=r"calls step\.see or step\.resume cannot be stacked"):
        lab.train([lab.learner("looking", 0, "x", method=Looking())])


def test_a_stack_has_at_least_the_width_that_rounding_needs_and_is_divided_when_wide(lab: Lab) -> None:
    learners = [lab.learner("none", seed, "x") for seed in range(WIDEST + 2)]
    assert [(len(one.learners), one.width) for one in stacks_of(learners)] == [
        (WIDEST, WIDEST),
        (2, STACK_WIDTH),
    ]
    apart = lab.learner("none", 0, "y", TRAIN.model_copy(update={"stacked": False}))
    assert stacks_of([apart]) == []
