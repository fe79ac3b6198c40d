"""What every installed method must do, without being named here."""

import math
import re
import sys
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor, nn

from srkd_bench import methods
from srkd_bench.config import ModelSpec, Run, Suite, TrainSpec
from srkd_bench.errors import SrkdError
from srkd_bench.method import Losses, Method, Output, Step, TeacherView, seeded
from srkd_bench.models import EDSR, build, to_safetensors
from srkd_bench.patches import Patches
from srkd_bench.planning import plan
from srkd_bench.progress import Display
from srkd_bench.store import ArtifactStore
from srkd_bench.train import Learner, fit

INSTALLED = methods.names()
NAMES = [*INSTALLED, "rkd+hkd", "ckd+rvkd", "fakd+augkd+crosskd", "dml+fitnet", "byot+at"]
STUDENT = ModelSpec(n_feats=4, n_resblocks=4)
TEACHER = ModelSpec(n_feats=6, n_resblocks=4)
# Methods whose loss isn't zero for a student that equals its teacher, and why.
NEVER_ZERO = {
    "rvkd": "the student's features pass through fusions, which are random at first",
    "augkd": "the student sees images turned, and a network's SR of those isn't its SR turned",
    "fitnet": "the student's features pass through a regressor, which is random at first",
    "dml": "it looks at a peer, not at the teacher",
    "byot": "it looks at the student's own exits, not at the teacher",
}

every_method = pytest.mark.parametrize("name", NAMES)
every_installed_method = pytest.mark.parametrize("name", INSTALLED)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Networks this small are slower on several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass
class Lesson:
    """A method with networks and a batch; `looks` counts how often the teacher was asked."""

    method: Method
    student: EDSR
    teacher: EDSR
    adapter: nn.Module
    step: Step
    looks: list[Tensor]

    def losses(self) -> Losses:
        return self.method.losses(self.step, self.adapter)

    def state(self) -> list[Tensor]:
        return [value.clone() for value in self.teacher.state_dict().values()]


def lesson(name: str, *, student: ModelSpec = STUDENT, equal: bool = False, batch: int = 4) -> Lesson:
    method = methods.build(name, {})
    learner = build(student, 0)
    teacher = build(student, 0) if equal else build(TEACHER, 1)
    generator = torch.Generator().manual_seed(5)
    sample = torch.rand(8, 3, 8, 8, generator=generator)  # 64 in earnest
    lr = torch.rand(batch, 3, 8, 8, generator=generator)
    hr = torch.rand(batch, 3, 16, 16, generator=generator)
    with seeded("adapter"):
        adapter = method.adapter(teacher if method.looks else None, learner, sample)
    looks = []

    @torch.no_grad()
    def see(images: Tensor) -> Output:
        looks.append(images)
        output = teacher(images, method.taps)
        assert isinstance(output, Output)
        return output

    output = learner(lr, method.taps)
    rec = F.mse_loss(output.sr, hr)
    own = torch.Generator().manual_seed(0)

    def look(images: Tensor) -> Output:
        output = learner(images, method.taps)
        assert isinstance(output, Output)
        return output

    step = Step(lr, hr, output, TeacherView(see, lr), rec, 0.5, own, look)
    return Lesson(method, learner, teacher, adapter, step, looks)


@every_method
def test_every_term_is_one_finite_number_in_float32(name: str) -> None:
    for term, loss in lesson(name).losses().items():
        assert loss.shape == (), term
        assert loss.dtype == torch.float32, term
        assert loss.isfinite(), term
        assert loss > 0, term


@every_method
def test_every_term_gives_the_student_a_gradient_or_is_declared_to_train_the_adapter_alone(name: str) -> None:
    one = lesson(name)
    terms = one.losses()
    assert set(one.method.beside) <= terms.keys() - {"rec"}
    for term, loss in terms.items():
        of_student, of_adapter = (gradient_norm(loss, network) for network in (one.student, one.adapter))
        assert math.isfinite(of_student + of_adapter), term
        if term in one.method.beside:
            assert (of_student, of_adapter > 0) == (0, True), term
        else:
            assert of_student > 0, term
    assert len(terms) == 1 or terms.keys() - {"rec", *one.method.beside}


def gradient_norm(loss: Tensor, network: nn.Module) -> float:
    """Return the norm of a loss's gradient over a network's weights; nan or infinite if any part of it is."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    if not weights:
        return 0.0
    grads = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    return math.hypot(*(float(grad.norm()) for grad in grads if grad is not None))


@every_method
def test_the_teacher_gets_no_gradient_and_stays_as_it_was(name: str) -> None:
    one = lesson(name)
    before = one.state()
    trained = [*one.student.parameters(), *one.adapter.parameters()]
    optimizer = torch.optim.Adam(trained, 0.1)
    torch.stack(list(one.losses().values())).sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    assert all(weight.requires_grad and weight.grad is None for weight in one.teacher.parameters())
    assert all(map(torch.equal, one.state(), before))


@every_method
def test_a_method_changes_nothing_that_others_see(name: str) -> None:
    one = lesson(name)
    output = one.step.teacher.output if one.method.looks else one.step.student
    seen = [one.step.lr, one.step.hr, one.step.student.sr, output.sr, *output.feats.values()]
    before = [tensor.clone() for tensor in seen]
    mode = one.teacher.training
    one.losses()
    assert all(map(torch.equal, seen, before))
    assert one.teacher.training is mode


@every_method
def test_the_loss_against_hr_is_there_exactly_once(name: str) -> None:
    one = lesson(name)
    rec = torch.tensor(0.5, requires_grad=True)
    step = Step(**vars(one.step) | {"rec": rec})
    terms = one.method.losses(step, one.adapter)
    assert terms["rec"] is rec
    assert list(terms).count("rec") == 1
    (grad,) = torch.autograd.grad(torch.stack(list(terms.values())).sum(), rec)
    assert grad == 1


@every_method
def test_the_teacher_sees_the_batch_once_where_methods_look_and_nothing_for_others(name: str) -> None:
    one = lesson(name)
    one.losses()
    assert sum(images is one.step.lr for images in one.looks) == one.method.looks
    assert bool(one.looks) is one.method.looks


@every_method
def test_what_is_trained_beside_the_student_never_reaches_its_file(name: str, tmp_path: Path) -> None:
    one = lesson(name)
    alone = build(STUDENT, 0)
    networks = {id(weight) for network in (one.student, one.teacher) for weight in network.parameters()}
    assert not networks & {id(weight) for weight in one.adapter.parameters()}
    for network, file in ((one.student, "taught"), (alone, "alone")):
        (tmp_path / file).write_bytes(to_safetensors(network))
    assert (tmp_path / "taught").read_bytes() == (tmp_path / "alone").read_bytes()


@every_method
def test_a_student_that_equals_its_teacher_has_nothing_to_learn_from_it(name: str) -> None:
    for part in name.split("+"):
        if part in NEVER_ZERO:
            pytest.skip(f"{part}: {NEVER_ZERO[part]}")
    one = lesson(name, equal=True)
    if not one.method.looks:
        pytest.skip(f"{name} looks at no teacher")
    terms = one.losses()
    rec = terms.pop("rec")
    assert rec > 0
    assert terms
    for term, loss in terms.items():
        assert loss.item() == pytest.approx(0, abs=1e-10), term


@every_method
def test_the_loss_draws_nothing_from_the_global_random_numbers(name: str) -> None:
    one = lesson(name)
    state = torch.random.get_rng_state()
    one.losses()
    assert torch.equal(torch.random.get_rng_state(), state)


@every_method
def test_a_method_works_on_the_least_batch_that_it_asks_for(name: str) -> None:
    least = methods.build(name, {}).min_batch
    assert all(loss.isfinite() for loss in lesson(name, batch=least).losses().values())


@every_method
def test_a_batch_that_is_too_small_is_refused_before_anything_starts(name: str, tmp_path: Path) -> None:
    method = methods.build(name, {})
    store, display = ArtifactStore(tmp_path), Display(Console(file=sys.stderr))

    def planned(batch: int) -> list[str]:
        suite = {
            "name": "tiny",
            "data": {"train": "photos", "test": ["photos-test"]},
            "teacher": {"model": {"n_feats": 6, "n_resblocks": 4}},
            "student": {"n_feats": 4, "n_resblocks": 4},
            "train": {"batch": batch, "steps": 3},
            "methods": [name],
        }
        return plan(Suite.model_validate(suite), store, display).methods

    assert planned(method.min_batch) == [name]
    if method.min_batch > 1:
        with pytest.raises(SrkdError, match=re.escape(name) + ".* a batch of 1$") as caught:
            planned(1)
        assert caught.value.hint == "--set train.batch=8"


@every_installed_method
def test_a_method_says_what_it_is_and_where_it_comes_from(name: str) -> None:
    method = methods.find(name)
    assert method.kind in ("none", "response", "relation", "feature")
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
    for field in fields(methods.find(name)):  # type: ignore[arg-type]  # every method is a dataclass
        assert field.default is not MISSING, field.name
        assert methods.build(name, {name: {field.name: field.default}}) == methods.build(name, {})
        number = type(field.default) in (int, float)
        for wrong in (-1, math.inf, math.nan, True, None) if number else (-1, "-"):
            with pytest.raises(SrkdError, match=rf"^params\.{name}\.{field.name}: .*, not "):
                methods.build(name, {name: {field.name: wrong}})


@every_installed_method
def test_a_method_does_not_change_once_it_is_built(name: str) -> None:
    method = methods.build(name, {})
    assert method == methods.build(name, {})
    assert hash(method) == hash(methods.build(name, {}))  # dataclasses that aren't frozen have no hash


class Noise(Patches):
    """Patches of no images at all."""

    def __init__(self, train: TrainSpec) -> None:
        self.train = train

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(step)
        shape = self.train.batch, 3, self.train.patch, self.train.patch
        lr = torch.rand(shape, generator=generator)
        return lr, F.interpolate(lr, scale_factor=2)


def learner_of(name: str, teacher: EDSR, folder: Path) -> Learner:
    method = methods.build(name, {})
    run = Run(
        model=STUDENT,
        train=TrainSpec(batch=4, patch=8, steps=4, learning_rate=1e-3),
        data="noise",
        pixels="",
        method=name,
        params=methods.identity(method, name),
        seed=3,
        teacher=None,
    )
    sample, _ = Noise(run.train.model_copy(update={"batch": 8})).batch(99)
    return Learner(run, method, teacher if method.looks else None, sample, folder, torch.device("cpu"))


def trained(names: list[str], folder: Path) -> dict[str, tuple[dict[str, Tensor], list[object]]]:
    """Return weights and logged loss terms of students that learn side by side."""
    teacher = build(TEACHER, 1).requires_grad_(False).eval()
    folders = {name: folder / name for name in names}
    for one in folders.values():
        one.mkdir()
    learners = {name: learner_of(name, teacher, one) for name, one in folders.items()}
    fit(
        list(learners.values()),
        teacher,
        Noise(learners[names[0]].run.train),
        device=torch.device("cpu"),
    )
    return {
        name: (
            dict(learner.student.state_dict()) | dict(learner.adapter.state_dict(prefix="adapter.")),
            [event["terms"] for event in learner.events],
        )
        for name, learner in learners.items()
    }


@pytest.fixture(scope="module")
def together(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[dict[str, Tensor], list[object]]]:
    torch.manual_seed(1)
    return trained(NAMES, tmp_path_factory.mktemp("together"))


@every_method
def test_a_student_learns_beside_others_what_it_learns_alone(
    name: str, together: dict[str, tuple[dict[str, Tensor], list[object]]], tmp_path: Path
) -> None:
    torch.manual_seed(2)
    weights, terms = trained([name], tmp_path)[name]
    beside, terms_beside = together[name]
    assert len(terms) == 4
    assert terms == terms_beside
    assert weights.keys() == beside.keys()
    assert all(torch.equal(weights[key], beside[key]) for key in weights)
    before = build(STUDENT, 3).state_dict()
    assert not torch.equal(before["head.0.weight"], weights["head.0.weight"])
