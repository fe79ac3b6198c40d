import errno
import math
import os
import signal
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial, partialmethod
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from srkd_bench.config.artifacts import Run
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import IntegrityError, SrkdError, Stopped
from srkd_bench.core.signals import interruptible
from srkd_bench.data.image_set import open_set
from srkd_bench.data.labels import on_grid
from srkd_bench.data.patches import Patches
from srkd_bench.methods import builtin, registry
from srkd_bench.methods.base import Losses, Method, Step, TeacherView
from srkd_bench.methods.builtin.dml import DML
from srkd_bench.networks.architectures.edsr import EDSR
from srkd_bench.networks.base import Architecture, Output
from srkd_bench.networks.loading import build, to_safetensors
from srkd_bench.store import checkpoints
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.training.contract.random_encoder import completed
from srkd_bench.training.learner import Learner
from srkd_bench.training.loop import fit
from srkd_bench.training.schedule import learning_rate, share_every
from srkd_bench.training.transfers import settle

METHODS = sorted(path.stem for path in Path(builtin.__file__).parent.glob("[!_]*.py"))
ALL = ["none", "hkd", "ckd", "rkd", "rvkd", "rkd+hkd"]
TRAIN = TrainSpec(batch=4, patch=8, steps=8, learning_rate=1e-3)
CPU = torch.device("cpu")


class Lab:
    """Train learners on the built-in photographs, in a separate folder."""

    def __init__(self, store: ArtifactStore, folder: Path) -> None:
        self.folder = folder
        self.images = open_set(store, "photos", 2)
        self.teacher = build(ModelSpec(n_feats=6, n_resblocks=4), "teacher").requires_grad_(False).eval()

    def learner(self, name: str, place: str, train: TrainSpec = TRAIN) -> Learner:
        method = completed(registry.build(name, {}))
        run = Run(
            model=ModelSpec(n_feats=4, n_resblocks=4), train=train, data="photos", pixels="", method=name,
            params=registry.identity(method, name), seed=0, teacher=None,
        )  # fmt: skip
        folder = self.folder / place / name
        folder.mkdir(parents=True, exist_ok=True)
        sample, _ = Patches(self.images, train.model_copy(update={"batch": 16}), "sample").batch(0)
        return Learner(run, method, self.teacher if method.looks else None, sample, folder, CPU)

    def fit(
        self,
        names: list[str],
        place: str,
        train: TrainSpec = TRAIN,
        watch: Callable[[int], None] = lambda step: None,
    ) -> dict[str, Learner]:
        learners = {name: self.learner(name, place, train) for name in names}
        patches = Patches(self.images, train, 0)
        fit(list(learners.values()), self.teacher, patches, device=CPU, watch=watch)
        return learners


@pytest.fixture
def lab(store: ArtifactStore, tmp_path: Path) -> Lab:
    return Lab(store, tmp_path / "work")


def bits(learner: Learner) -> list[torch.Tensor]:
    parts = (learner.student, learner.adapter)
    return [value.clone() for part in parts for value in part.state_dict().values()]


def same(a: Learner, b: Learner) -> bool:
    return all(torch.equal(x, y) for x, y in zip(bits(a), bits(b), strict=True))


def test_events_contain_the_time_of_steps(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def tick(*arguments: object) -> None:
        nonlocal now
        now += 2.0

    monkeypatch.setattr("srkd_bench.training.loop.time.monotonic", lambda: now)
    train = TRAIN.model_copy(update={"steps": 302})  # an event each 3 steps, and one after the last of them
    learner = lab.learner("none", "x", train)
    learner.student.register_forward_hook(tick)
    fit([learner], None, Patches(lab.images, train, 0), device=CPU)
    events = learner.events
    assert [event["step"] for event in events][-3:] == [297, 300, 301]
    assert "seconds_a_step" not in events[0]
    assert {event["seconds_a_step"] for event in events[1:-1]} == {2.0}
    assert "seconds_a_step" not in events[-1]


def test_training_together_equals_training_alone_bit_for_bit(lab: Lab) -> None:
    together = lab.fit(ALL, "together")
    for name in ALL:
        assert same(together[name], lab.fit([name], "alone")[name]), name
    assert not same(together["none"], together["hkd"])


def test_there_is_one_teacher_forward_pass_per_step_and_none_for_none(lab: Lab) -> None:
    passes: list[torch.Size] = []
    before = [weight.clone() for weight in lab.teacher.parameters()]
    learners = {name: lab.learner(name, "x") for name in ALL}
    patches = Patches(lab.images, TRAIN, 0)
    handle = lab.teacher.register_forward_hook(lambda module, args, output: passes.append(args[0].shape))
    fit(list(learners.values()), lab.teacher, patches, device=CPU)
    assert len(passes) == TRAIN.steps
    fit([lab.learner("none", "y")], lab.teacher, patches, device=CPU)
    assert len(passes) == TRAIN.steps
    handle.remove()
    assert all(torch.equal(a, b) for a, b in zip(before, lab.teacher.parameters(), strict=True))


def test_auxiliary_networks_use_the_suites_loss_against_hr(lab: Lab) -> None:
    def peers_first_loss(loss: str) -> float:
        learner = lab.learner("dml", loss, TRAIN.model_copy(update={"loss": loss}))
        lr, hr = Patches(lab.images, TRAIN, 0).batch(0)
        peer, student = learner.adapter(lr).sr.detach(), learner.student(lr).sr.detach()
        expected = (peer - hr).abs().mean() if loss == "l1" else (peer - hr).square().mean()
        learner.advance(lr, hr, TeacherView(learner.student, lr), {})
        settle(learner)
        assert isinstance(learner.method, DML)
        assert learner.last["terms"]["peer"] == pytest.approx(
            (expected + learner.method.weight * (peer - student).square().mean()).item(), rel=1e-4
        )
        return float(learner.last["terms"]["peer"])

    assert peers_first_loss("l1") > 1.1 * peers_first_loss("mse")


def test_validation_is_logged_periodically_and_changes_no_bit(lab: Lab) -> None:
    train = TRAIN.model_copy(update={"steps": 12})
    seen: list[list[torch.Tensor]] = []

    def validate(model: Architecture) -> float:
        seen.append([weight.clone() for weight in model.parameters()])
        return float(len(seen))

    learner, plain = lab.learner("rvkd", "watched", train), lab.fit(["rvkd"], "plain", train)["rvkd"]
    assert not any("validation" in event for event in plain.events)
    fit([learner], lab.teacher, Patches(lab.images, train, 0), device=CPU, validate=validate)
    assert {event["step"]: event.get("validation") for event in learner.events if "validation" in event} == {
        5: 1.0,
        10: 2.0,
        11: 3.0,
    }
    assert same(learner, plain)
    assert not all(torch.equal(a, b) for a, b in zip(seen[-1], learner.student.parameters(), strict=True))


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 75), (signal.SIGHUP, 75), (signal.SIGUSR1, 75), (signal.SIGINT, 130)],
)
def test_a_signal_writes_checkpoints_that_resume_bit_identically(
    lab: Lab, number: signal.Signals, code: int
) -> None:
    whole = lab.fit(ALL, "whole")

    def stop(step: int) -> None:
        if step == 3:
            os.kill(os.getpid(), number)

    with pytest.raises(Stopped) as stopped:
        lab.fit(ALL, "stopped", watch=stop)
    assert stopped.value.exit_code == code
    resumed = {name: lab.learner(name, "stopped") for name in ALL}
    assert {learner.step for learner in resumed.values()} == {3}
    resumed = lab.fit(ALL, "stopped")
    assert all(same(whole[name], resumed[name]) for name in ALL)
    for name in ALL:
        assert [event["step"] for event in resumed[name].events] == list(range(TRAIN.steps))


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
@pytest.mark.parametrize("stopped", [False, True])
def test_tf32_follows_the_training_and_is_restored_afterwards(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, precision: str, stopped: bool
) -> None:
    seen: list[bool] = []

    def watch(step: int) -> None:
        seen.append(torch.backends.cudnn.allow_tf32)
        if stopped:
            os.kill(os.getpid(), signal.SIGTERM)

    before = precision != "tf32"
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", before)
    train = TRAIN.model_copy(update={"precision": precision, "steps": 2})
    with pytest.raises(Stopped) if stopped else nullcontext():
        lab.fit(["none"], "x", train, watch=watch)
    assert set(seen) == {not before}
    assert torch.backends.cudnn.allow_tf32 == before


def test_a_second_signal_while_checkpoints_are_written_loses_none(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Learner.save

    def interrupted(self: Learner) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        save(self)

    def stop(step: int) -> None:
        if step == 3:
            monkeypatch.setattr(Learner, "save", interrupted)
            os.kill(os.getpid(), signal.SIGTERM)

    with interruptible(), pytest.raises(Stopped) as stopped:  # as the command does
        lab.fit(["none", "hkd"], "stopped", watch=stop)
    assert stopped.value.exit_code == 75
    assert [lab.learner(name, "stopped").step for name in ("none", "hkd")] == [3, 3]


@pytest.mark.parametrize("moment", ["forward", "backward", "update"])
def test_a_signal_within_a_step_undoes_or_completes_it_bit_identically(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    whole = lab.fit(["none", "rvkd"], "whole")
    learners = {name: lab.learner(name, "stopped") for name in ("none", "rvkd")}
    method = type(learners["rvkd"].method)
    losses = method.losses

    def kill(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    def stopping(self: Method, step: Step, adapter: torch.nn.Module) -> Losses:
        terms = losses(self, step, adapter)  # has moved the running means of its batch normalisation
        torch.rand(1, generator=step.generator)
        if step.progress >= 0.5:
            if moment == "backward":
                terms["rec"].register_hook(kill)  # type: ignore[no-untyped-call]
            elif moment == "update":
                learners["rvkd"].optimizer.register_step_post_hook(kill)
            else:
                kill()
        return terms

    with monkeypatch.context() as patched:
        patched.setattr(method, "losses", stopping)
        with pytest.raises(Stopped, match="Interrupted at step 4 of 8; checkpoint saved"):
            fit(list(learners.values()), lab.teacher, Patches(lab.images, TRAIN, 0), device=CPU)
    assert {name: lab.learner(name, "stopped").step for name in learners} == {
        "none": 5,
        "rvkd": 5 if moment == "update" else 4,
    }
    resumed = lab.fit(["none", "rvkd"], "stopped")
    assert all(same(whole[name], resumed[name]) for name in whole)


def test_a_corrupted_checkpoint_is_never_used(lab: Lab) -> None:
    learner = lab.learner("hkd", "x")
    learner.save()
    (path,) = learner.folder.iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=f"{path.name} is corrupted"):
        lab.learner("hkd", "x")


def test_one_checkpoint_is_kept_and_survives_a_failed_write(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = lab.fit(["hkd"], "x")["hkd"]
    learner.save()
    (first,) = learner.folder.iterdir()
    learner.step += 1

    def full(path: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", full)
        with pytest.raises(
            SrkdError, match=r"cannot write .*step-9-.*No space left on device, \d+ kB needed"
        ):
            learner.save()
    assert list(learner.folder.iterdir()) == [first]
    learner.save()
    (second,) = learner.folder.iterdir()
    assert second != first


def test_checkpoints_take_at_most_one_percent_of_the_time(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    saves: list[int] = []
    clock = [0.0]
    monkeypatch.setattr("srkd_bench.training.loop.time.monotonic", lambda: clock[0])

    def save(learner: Learner) -> None:
        saves.append(learner.step)
        clock[0] += 6  # slow: 600 seconds have to pass

    def minute(step: int) -> None:
        clock[0] += 60

    monkeypatch.setattr(Learner, "save", save)
    lab.fit(["none"], "x", TRAIN.model_copy(update={"steps": 40}), watch=minute)
    assert saves == [6, 17, 28, 39]  # after 300 seconds, then after 600


def test_a_diverging_training_stops_alone_and_keeps_its_earlier_checkpoint(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = TRAIN.model_copy(update={"steps": 400})
    learners = {name: lab.learner(name, "x", train) for name in ("none", "hkd")}

    def wreck(step: int) -> None:
        if step == 110:
            with torch.no_grad():
                learners["hkd"].student.get_parameter("tail.1.bias").add_(1000)

    monkeypatch.setattr("srkd_bench.training.learner.learning_rate", lambda train, step: 0.0)
    patches = Patches(lab.images, train, 0)
    fit(list(learners.values()), lab.teacher, patches, device=CPU, watch=wreck, checkpoint_seconds=0)
    assert learners["none"].error is None
    assert learners["none"].step == 400
    error = learners["hkd"].error
    assert error is not None
    assert error.message.startswith("hkd seed 0: diverged: loss 'rec' has been more than 4 times its best")
    assert learners["hkd"].step == 200  # the windows 100 to 149 and 150 to 199 are high
    assert (
        110 <= checkpoints.steps_done(learners["hkd"].folder) < 130
    )  # a few steps pass before it is noticed


def test_a_learner_with_an_earlier_checkpoint_catches_up_alone(lab: Lab) -> None:
    whole = lab.fit(["none", "hkd"], "whole")

    def stop(step: int) -> None:
        if step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        lab.fit(["none"], "uneven", watch=stop)
    uneven = lab.fit(["none", "hkd"], "uneven")
    assert all(same(whole[name], uneven[name]) for name in whole)


def test_a_loss_that_is_not_finite_stops_only_its_learner(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = lab.fit(["none"], "whole")
    learners = {name: lab.learner(name, "x") for name in ("none", "hkd")}

    def losses(self: Method, step: Step, adapter: torch.nn.Module) -> Losses:
        return {"rec": step.rec, "hkd": step.rec * (float("nan") if step.progress > 0.3 else 1)}

    monkeypatch.setattr(type(learners["hkd"].method), "losses", losses)
    fit(list(learners.values()), lab.teacher, Patches(lab.images, TRAIN, 0), device=CPU)
    error = learners["hkd"].error
    assert error is not None
    assert error.message == "hkd seed 0: loss 'hkd' is nan at step 3"
    assert all(value.isfinite().all() for value in bits(learners["hkd"]))
    assert same(whole["none"], learners["none"])


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_one_bad_loss_never_reaches_weights_or_checkpoints(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    train = TRAIN.model_copy(update={"precision": precision})
    short = lab.fit(["hkd"], "short", train.model_copy(update={"steps": 3}))["hkd"]
    learner = lab.learner("hkd", "x", train)

    def losses(self: Method, step: Step, adapter: torch.nn.Module) -> Losses:
        loss = F.mse_loss(step.student.sr, step.teacher.sr)
        only_here = step.progress == 3 / TRAIN.steps  # and with a finite gradient
        return {"rec": step.rec, "hkd": loss + math.inf if only_here else loss}

    monkeypatch.setattr(type(learner.method), "losses", losses)
    patches = Patches(lab.images, train, 0)
    fit([learner], lab.teacher, patches, device=CPU, checkpoint_seconds=-1)
    assert learner.error is not None
    assert learner.error.message == "hkd seed 0: loss 'hkd' is inf at step 3"
    assert learner.step == 3
    assert [event["step"] for event in learner.events] == [0, 1, 2]
    assert checkpoints.steps_done(learner.folder) == 3
    assert same(learner, short)
    assert same(lab.learner("hkd", "x", train), short)


@pytest.mark.parametrize("name", [*METHODS, "rkd+hkd"])
def test_a_training_equals_the_plain_loop_bit_for_bit(lab: Lab, name: str) -> None:
    learner, plain = lab.fit([name], "x")[name], lab.learner(name, "plain")
    method, taps, patches = plain.method, plain.method.taps, Patches(lab.images, TRAIN, 0)
    weights = [*plain.student.parameters(), *plain.adapter.parameters()]
    optimizer = torch.optim.Adam([one for one in weights if one.requires_grad], 1e-3, fused=True)
    every = tuple(sorted({*taps, 0.5}))
    for number in range(TRAIN.steps):
        lr, hr = patches.batch(number)
        output = plain.student(lr, taps)

        @torch.no_grad()
        def look(images: Tensor) -> Output:
            seen: Output = lab.teacher(images, every)
            return Output(on_grid(seen.sr), seen.feats)

        rec, progress = F.mse_loss(output.sr, hr), number / TRAIN.steps
        view, see = TeacherView(look, lr, resume=lab.teacher.resume), partial(plain.student, taps=taps)
        resume = partial(plain.student.resume, lr=lr)
        step = Step(lr, hr, output, view, rec, progress, plain.generator, see, resume=resume)
        optimizer.zero_grad()
        torch.stack(list(method.losses(step, plain.adapter).values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            method.after_step(plain.adapter, plain.student, number + 1, TRAIN.steps)
    assert same(learner, plain)


def test_bf16_and_l1_are_valid_and_change_the_digest(lab: Lab) -> None:
    plain = lab.fit(["hkd"], "fp32")["hkd"]
    for change in ({"precision": "bf16"}, {"loss": "l1"}, {"augment": False}):
        other = lab.fit(["hkd"], "-".join(change), TRAIN.model_copy(update=change))["hkd"]
        assert other.error is None
        assert not same(plain, other)


def test_compiled_networks_learn_the_same_and_are_stored_uncompiled(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward  # a real backend takes half a minute

    how = partialmethod(nn.Module.compile, backend=backend, fullgraph=True)
    monkeypatch.setattr(nn.Module, "compile", how)
    plain = lab.fit(["rvkd"], "plain")["rvkd"]
    assert not graphs
    compiled = lab.fit(["rvkd"], "compiled", TRAIN.model_copy(update={"compile": True}))["rvkd"]
    assert graphs
    assert same(compiled, plain)
    assert to_safetensors(compiled.student) == to_safetensors(plain.student)


def test_compiling_changes_the_digest_and_the_default_does_not() -> None:
    plain = TRAIN.model_dump(mode="json")
    assert "compile" not in plain
    for how in (True, "reduce-overhead"):
        assert TRAIN.model_copy(update={"compile": how}).model_dump(mode="json") == plain | {"compile": how}


def test_the_gradient_share_is_measured_every_hundred_steps_and_repeated_by_other_events(lab: Lab) -> None:
    train = TrainSpec(batch=2, patch=8, steps=450, learning_rate=1e-4)  # an event every 4 steps

    def stop(step: int) -> None:
        if step == 150:
            os.kill(os.getpid(), signal.SIGTERM)

    events = lab.fit(["hkd"], "whole", train)["hkd"].events
    changes = [b["step"] for a, b in pairwise(events) if a["share"] != b["share"]]
    assert changes == [100, 200, 300, 400, 449]
    with pytest.raises(Stopped):
        lab.fit(["hkd"], "stopped", train, watch=stop)
    resumed = lab.fit(["hkd"], "stopped", train)["hkd"].events
    assert [event["share"] for event in resumed] == [event["share"] for event in events]


@pytest.mark.parametrize(("steps", "every"), [(8, 100), (1200, 108), (10_000, 100), (100_000, 1000)])
def test_the_gradient_share_is_measured_at_events(steps: int, every: int) -> None:
    assert share_every(TrainSpec(steps=steps)) == every


def test_the_gradient_share_of_hkd_with_the_truth_as_teacher_is_its_weight(lab: Lab) -> None:
    learner = lab.learner("hkd", "x")
    lr, hr = Patches(lab.images, TRAIN, 0).batch(0)
    learner.advance(lr, hr, TeacherView(lambda _: Output(hr, {}), lr), log={})
    settle(learner)
    assert learner.last["share"] == pytest.approx(1.0, rel=1e-5)


def test_learning_rates_follow_their_schedules() -> None:
    def rate(step: int, **more: object) -> float:
        return learning_rate(TrainSpec.model_validate({"steps": 100, "learning_rate": 0.01, **more}), step)

    assert rate(99) == 0.01
    assert [rate(step, schedule="step", decay_every=40) for step in (39, 40, 80)] == [0.01, 0.005, 0.0025]
    assert rate(0, schedule="cosine") == 0.01
    assert rate(50, schedule="cosine") == pytest.approx(0.005)
    assert rate(99, schedule="cosine") < 1e-5
    twice = {"schedule": "cosine", "restarts": [60, 80], "decay_factor": 0.2}
    assert [rate(step, **twice) for step in (0, 30, 60, 70, 80, 90)] == pytest.approx(
        [0.01, 0.005, 0.002, 0.001, 0.0004, 0.0002]
    )
    assert rate(59, **twice) < 1e-5


@pytest.mark.parametrize(
    "wrong",
    [{"schedule": "step", "restarts": [4]}, {"restarts": [4, 4]}, {"restarts": [8]}, {"restarts": [0]}],
)
def test_cosine_restarts_increase_and_are_within_the_training(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="restarts"):
        TrainSpec.model_validate({"steps": 8, "schedule": "cosine"} | wrong)


def test_before_a_restart_a_training_equals_the_shorter_one_and_then_resets_the_optimizer(
    lab: Lab,
) -> None:
    short = TrainSpec(batch=4, patch=8, steps=4, learning_rate=1e-3, schedule="cosine")
    longer = TrainSpec.model_validate(short.model_dump() | {"steps": 8, "restarts": [4]})
    ended = lab.fit(["rvkd"], "short", short)["rvkd"]

    def stop(step: int) -> None:
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    whole = lab.fit(["rvkd"], "whole", longer)["rvkd"]
    with pytest.raises(Stopped):
        lab.fit(["rvkd"], "stopped", longer, watch=stop)
    assert same(lab.learner("rvkd", "stopped", longer), ended)
    resumed = lab.fit(["rvkd"], "stopped", longer)["rvkd"]
    assert {state["step"].item() for state in resumed.optimizer.state.values()} == {4.0}
    assert same(resumed, whole)
    assert not same(resumed, ended)


def test_students_of_a_seed_have_equal_initial_weights() -> None:
    spec = ModelSpec(n_feats=4, n_resblocks=2)

    def weights(*seed: int) -> torch.Tensor:
        model: EDSR = build(spec, *seed)
        return torch.cat([weight.flatten() for weight in model.parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))
