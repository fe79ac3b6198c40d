"""Processes started by torchrun train a teacher together."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from srkd_bench.cli.session import find_plan
from srkd_bench.config.artifacts import Run
from srkd_bench.config.network import ForeignSpec, ModelSpec, NetworkSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import SrkdError, Stopped, command_line
from srkd_bench.data.image_set import open_set
from srkd_bench.data.patches import Patches
from srkd_bench.experiments.executors import torchrun
from srkd_bench.experiments.planning.parts import of_teachers
from srkd_bench.experiments.runs import preflight, train
from srkd_bench.experiments.runs.train import sample_of
from srkd_bench.methods import registry
from srkd_bench.methods.base import Losses, Step
from srkd_bench.methods.builtin.none import NoDistillation
from srkd_bench.networks.base import Architecture
from srkd_bench.store import checkpoints, workspace
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.training.distributed import ALONE, Ranks, Training, check_shareable, join
from srkd_bench.training.learner import Learner
from srkd_bench.training.loop import fit
from tests.conftest import Srkd
from tests.support.tiny_suite import tiny_suite

TRAIN = TrainSpec(batch=8, patch=8, steps=50, learning_rate=1e-3)
EDSR = ModelSpec(n_feats=6, n_resblocks=4)
CPU = torch.device("cpu")
CLOSE = 1e-5


def write_suite(folder: Path) -> Path:
    data = {"train": "photos", "validation": "photos-valid"}
    teacher = {"train": {"steps": 50}}
    return tiny_suite(folder, "shared", data=data, teacher=teacher, train={"batch": 8})


def run_of(model: NetworkSpec = EDSR) -> Run:
    return Run(
        model=model, train=TRAIN, data="photos", pixels="", method="none",
        params=registry.identity(NoDistillation(), "none"), seed=0, teacher=None,
    )  # fmt: skip


def learner_in(folder: Path, store: ArtifactStore, ranks: Ranks = ALONE) -> Learner:
    images = open_set(store, "photos", 2)
    return Learner(run_of(), NoDistillation(), None, sample_of(images, TRAIN, None), folder, CPU, ranks)


def trained(learner: Learner, store: ArtifactStore, stop_at: int = 0) -> Learner:
    """Train to the end; a step at which to send this process SIGTERM is counted from 1."""

    def watch(step: int) -> None:
        if step == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)

    patches = Patches(open_set(store, "photos", 2), TRAIN, 0, learner.ranks.part(TRAIN.batch))
    fit([learner], None, patches, device=CPU, watch=watch)
    return learner


def difference(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    assert a.keys() == b.keys()
    return max((a[name] - b[name]).abs().max().item() for name in a)


def free_port() -> int:
    """Return a free port below the range from which systems choose ports, so that no other test is given it."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def work(rank: int, home: Path, ports: list[int]) -> None:
    """Do the work of one of two processes that the tests check."""
    torch.set_num_threads(1)
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "test",
        "RANK": str(rank),
        "WORLD_SIZE": "2",
        "LOCAL_RANK": str(rank),
    }
    os.environ |= {"LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    store = ArtifactStore(home)

    def met() -> Ranks:
        os.environ["MASTER_PORT"] = str(ports.pop())
        return join(CPU)

    stopped = learner_in(home / "stopped", store, met())
    with pytest.raises(Stopped) as reason:
        trained(stopped, store, stop_at=20 if rank else 0)
    begun = trained(learner_in(home / "begun", store, met()), store)
    losses = NoDistillation.losses

    def broken(self: NoDistillation, step: Step, adapter: nn.Module) -> Losses:
        terms = losses(self, step, adapter)
        return {"rec": terms["rec"] * float("nan")} if rank and step.progress >= 0.5 else terms

    NoDistillation.losses = broken  # type: ignore[method-assign]
    failed = trained(learner_in(home / "failed", store, met()), store)
    told = {
        "stopped": (stopped.step, reason.value.exit_code),
        "begun": begun.student.state_dict(),
        "failed": (failed.step, str(failed.error)),
        "events": begun.events,
    }
    torch.save(told, home / f"told-{rank}.pt")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with trainings of two ranks and of one process with the same settings."""
    home = tmp_path_factory.mktemp("ranks")
    store = ArtifactStore(home)
    torch.save(trained(learner_in(home / "whole", store), store).student.state_dict(), home / "whole.pt")
    with pytest.raises(Stopped):
        trained(learner_in(home / "begun", store), store, stop_at=20)
    spawn(work, (home, [free_port() for _ in range(3)]), nprocs=2)  # type: ignore[no-untyped-call]  # torch's
    return home


def told(home: Path) -> list[dict[str, object]]:
    return [torch.load(home / f"told-{rank}.pt") for rank in (0, 1)]


def test_a_signal_to_one_rank_stops_all_at_one_step_and_one_process_can_resume(
    home: Path,
) -> None:
    assert [one["stopped"] for one in told(home)] == [(20, 75), (20, 75)]
    assert checkpoints.steps_done(home / "stopped") == 20
    store = ArtifactStore(home)
    resumed = trained(learner_in(home / "stopped", store), store)
    assert difference(resumed.student.state_dict(), torch.load(home / "whole.pt")) < CLOSE
    assert [event["step"] for event in resumed.events] == list(range(50))


def test_two_ranks_resume_from_one_processs_checkpoint_with_the_same_weights(home: Path) -> None:
    zero, one = (ranks["begun"] for ranks in told(home))
    assert isinstance(zero, dict)
    assert isinstance(one, dict)
    assert difference(zero, one) == 0
    assert difference(zero, torch.load(home / "whole.pt")) < CLOSE


def test_a_loss_that_is_not_finite_on_one_rank_ends_the_training_on_all(home: Path) -> None:
    assert [one["failed"] for one in told(home)] == 2 * [(25, "none seed 0: loss 'rec' is nan at step 25")]


def start(folder: Path, *words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "srkd_bench", *words]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_rank_computes_labels_once_rank_0_has_stored_their_teacher(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = ["teacher.labels=images"]
    plan, _, display = find_plan(str(write_suite(tmp_path)), settings, store.home, ["none"])
    plan, place = of_teachers(plan), workspace.Workplace(store, display)
    looks = list[float]()

    def rank_0(seconds: float) -> None:
        looks.append(seconds)
        images = open_set(store, plan.suite.data.train, 2, display)
        assert train.ensure_teacher(plan, images, place) == []

    preflight.prepare(plan, place)
    capfd.readouterr()
    monkeypatch.setattr(torchrun, "time", SimpleNamespace(sleep=rank_0))
    torchrun.label(plan, store, "cpu")
    assert looks == [torchrun.LOOK_SECONDS]
    assert all(map(store.has, plan.labels))
    assert "Computing" not in capfd.readouterr().err


def test_torchrun_stores_the_same_artifact_as_one_process(srkd: Srkd, tmp_path: Path) -> None:
    write_suite(tmp_path)
    assert srkd("train-teacher", "shared.yaml")[0] == 0
    labels = ["--set", "teacher.labels=images"]
    shared = start(tmp_path, "train-teacher", "shared.yaml", *labels, "--home", "two", "--json")
    out, err = shared.communicate(timeout=300)
    assert shared.returncode == 0, err
    assert err.count("Computing teacher labels of") == 1
    assert len(list((tmp_path / "two" / "labels").iterdir())) == 1
    assert not list((tmp_path / "two" / "work").iterdir())
    assert {row["model"] for row in json.loads(out)["scores"]} == {"bicubic", "teacher"}
    (alone,), (together,) = (list((tmp_path / name / "runs").iterdir()) for name in ("home", "two"))
    assert alone.name == together.name
    keys = [
        json.loads((run / "artifact.json").read_text(encoding="utf-8"))["key"] for run in (alone, together)
    ]
    assert keys[0] == keys[1]
    files = [load_file(run / "weights.safetensors") for run in (alone, together)]
    assert difference(*files) < CLOSE
    cards = [json.loads((run / "card.json").read_text(encoding="utf-8")) for run in (alone, together)]
    assert [card.get("ranks") for card in cards] == [None, 2]
    for one, other in zip(
        *((run / "events.jsonl").read_text(encoding="utf-8").splitlines() for run in (alone, together)),
        strict=True,
    ):
        one, other = json.loads(one), json.loads(other)
        assert other["terms"]["rec"] == pytest.approx(one["terms"]["rec"], rel=1e-3)
        assert other.get("validation") == pytest.approx(one.get("validation"), abs=1e-3)


class Second(Ranks):
    """One of two ranks, without the other."""

    def __init__(self, rank: int) -> None:
        super().__init__(rank, 2)
        self.told: list[Training | None] = []

    def share(self, network: Architecture) -> nn.Module:
        return network

    def tell(self, training: Training | None) -> None:
        self.told.append(training)

    def hear(self) -> Training | None:
        return self.told[0]

    def leave(self) -> None:
        self.told.clear()


def test_every_rank_reads_its_part_of_a_batch_with_rank_0s_state(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[Tensor] = []

    def stopped(
        learners: list[Learner], teacher: None, patches: Patches | dict[int, Patches], **more: object
    ) -> None:
        stream = patches[learners[0].run.seed] if isinstance(patches, dict) else patches
        batches.append(stream.batch(7)[0])
        for learner in learners:
            learner.step = 1
            learner.save()
        raise Stopped("", 75)

    def follow(training: Training | None) -> None:
        second = Second(1)
        second.told = [training]
        monkeypatch.setattr(torchrun, "join", lambda device: second)
        torchrun.follow(store, "cpu")
        assert not second.told

    plan, _, display = find_plan(str(write_suite(tmp_path)), None, store.home)
    assert isinstance(plan.teacher, Run)
    assert plan.teacher.train == TRAIN
    first = Second(0)
    place = workspace.Workplace(store, display)
    images, _ = preflight.prepare(plan, place)
    for module in (train, torchrun):
        monkeypatch.setattr(module, "fit", stopped)
    with pytest.raises(Stopped):
        train.ensure_teacher(plan, images, place, first)
    assert first.told == [Training(plan.teacher, 0)]
    with pytest.raises(SrkdError, match="holds other images or another checkpoint than rank 0's"):
        follow(first.told[0])
    with pytest.raises(Stopped):
        follow(Training(plan.teacher, 1))
    assert torch.equal(torch.cat(batches), Patches(images, TRAIN, 0).batch(7)[0])
    assert len(batches) == 2

    with store.writing(plan.teacher):
        pass
    first.told.clear()
    monkeypatch.setattr(torchrun, "join", lambda device: first)
    torchrun.lead(plan, place)  # nothing is trained
    assert first.told == [None]
    train.ensure_teacher(plan, images, place, first)  # another process was faster
    assert first.told == [None, None]
    follow(None)


@pytest.fixture
def three_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {
        "TORCHELASTIC_RUN_ID": "x",
        "RANK": "0",
        "WORLD_SIZE": "3",
        "LOCAL_WORLD_SIZE": "3",
        "LOCAL_RANK": "0",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("words", [("run", "smoke"), ("distill", "-m", "ckd"), ("report",)])
@pytest.mark.usefixtures("three_ranks")
def test_under_torchrun_only_a_teacher_is_trained(srkd: Srkd, words: tuple[str, ...]) -> None:
    code, _, err = srkd(*words)
    assert code == 1
    assert f"error: torchrun runs `srkd train-teacher` only; `srkd {words[0]}` needs a single process" in err
    assert f"hint: torchrun … -m srkd_bench train-teacher, then srkd {words[0]} without torchrun" in err


@pytest.mark.usefixtures("three_ranks")
def test_ranks_that_do_not_divide_the_batch_are_rejected_early(srkd: Srkd, tmp_path: Path) -> None:
    write_suite(tmp_path)
    code, _, err = srkd("train-teacher", "shared.yaml")
    assert code == 1
    assert "error: 3 ranks cannot share a batch of 8\n" in err
    assert "hint: start 2, or --set teacher.train.batch=9\n" in err


@pytest.mark.usefixtures("three_ranks")
def test_the_resume_command_is_the_original_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["srkd", "train-teacher", "my suite.yaml"])
    ended = "--nproc-per-node 3 -m srkd_bench train-teacher 'my suite.yaml'"
    assert command_line() == f"torchrun --standalone {ended}"
    monkeypatch.setenv("WORLD_SIZE", "6")
    assert command_line() == f"torchrun --nnodes 2 {ended}"
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    assert command_line() == "srkd train-teacher 'my suite.yaml'"


class Net(nn.Module):
    """A network with something between its layers."""

    def __init__(self, scale: int, between: str) -> None:
        super().__init__()
        layers = {
            "nothing": nn.Identity(),
            "norm": nn.BatchNorm2d(4),
            "dropout": nn.Dropout(),
            "across": Across(),
        }
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), layers[between])
        self.tail = nn.Sequential(nn.Conv2d(4, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale))

    def forward(self, lr: Tensor) -> Tensor:
        sr: Tensor = self.tail(self.body(lr))
        return sr


class Across(nn.Module):
    """Takes the mean of the batch away."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean()


@pytest.mark.parametrize(
    ("between", "what"),
    [
        ("norm", "keeps statistics of its batches"),
        ("dropout", "draws random numbers"),
        ("across", "compares the images of a batch"),
    ],
)
def test_a_network_that_depends_on_the_whole_batch_is_rejected(between: str, what: str) -> None:
    def run(between: str) -> Run:
        return run_of(ForeignSpec(arch="tests.training.test_distributed:Net", params={"between": between}))

    check_shareable(run("nothing"), 2)
    check_shareable(run(between), 1)
    with pytest.raises(SrkdError, match=what):
        check_shareable(run(between), 2)
