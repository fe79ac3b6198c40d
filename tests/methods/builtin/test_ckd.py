import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.core.errors import SrkdError
from srkd_bench.methods import encoders, registry
from srkd_bench.methods.base import Step, TeacherView
from srkd_bench.methods.builtin.ckd import contrastive_loss, feature_loss
from srkd_bench.networks.base import Output
from srkd_bench.training.contract import checks
from tests.methods import unseen
from tests.support.encoder_files import encoder_file

FLOOR = (2 / 255) ** 2


def images(seed: int, n: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 3, 2, 5, dtype=torch.float64, generator=generator)


def flat(*levels: float) -> Tensor:
    """Return an image of one colour for each grey level."""
    return torch.tensor(levels, dtype=torch.float64).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)


def d(a: Tensor, b: Tensor) -> float:
    one, other = a.flatten().tolist(), b.flatten().tolist()
    return float(sum((x - y) ** 2 for x, y in zip(one, other, strict=True)) / len(one))


def by_loops(student: Tensor, teacher: Tensor, form: str) -> float:
    n, total = len(student), 0.0
    for i in range(n):
        negatives = [d(student[i], student[j]) for j in range(n) if j != i]
        positive = d(student[i], teacher[i])
        if form == "A":
            total += positive / max(sum(negatives), (n - 1) * FLOOR)
        else:
            total += sum(positive / max(negative, FLOOR) for negative in negatives)
    return total / n


def test_ckd_is_as_worked_by_hand() -> None:
    student, teacher = flat(0.0, 0.1, 0.3), flat(0.1, 0.2, 0.4)  # d(S, T) is .01 for each image
    sums = (0.01 + 0.09, 0.01 + 0.04, 0.09 + 0.04)
    form_a = sum(0.01 / total for total in sums) / 3
    form_b = 2 * (0.01 / 0.01 + 0.01 / 0.09 + 0.01 / 0.04) / 3
    assert contrastive_loss(student, teacher).item() == pytest.approx(form_a)
    assert contrastive_loss(student, teacher, form="B").item() == pytest.approx(form_b)


@pytest.mark.parametrize("form", ["A", "B"])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_ckd_agrees_with_plain_loops(form: str, n: int) -> None:
    student, teacher = images(0, n), images(1, n)
    loss = contrastive_loss(student, teacher, form=form).item()
    assert loss == pytest.approx(by_loops(student, teacher, form), rel=1e-12)


@pytest.mark.parametrize("form", ["A", "B"])
def test_an_equal_image_is_a_negative_like_any_other(form: str) -> None:
    student, teacher = images(0, 3), images(1, 3)
    student[2] = student[0]
    loss = contrastive_loss(student, teacher, form=form).item()
    assert loss == pytest.approx(by_loops(student, teacher, form), rel=1e-12)


@pytest.mark.parametrize(("form", "factor"), [("A", 1 / 3), ("B", 3)])
def test_the_distance_to_an_equal_negative_is_two_grey_levels(form: str, factor: float) -> None:
    student = flat(0.5, 0.5, 0.5, 0.5).clone().requires_grad_()
    loss = contrastive_loss(student, flat(0.6, 0.6, 0.6, 0.6), form=form)
    assert loss.item() == pytest.approx(factor * 0.01 / FLOOR)
    (grad,) = torch.autograd.grad(loss, student)
    assert grad.isfinite().all()
    assert (grad < 0).all()  # towards the brighter teacher


def test_form_b_is_at_least_the_squared_number_of_negatives_times_form_a() -> None:
    for seed in range(5):
        student, teacher = images(seed), images(seed + 10)
        a = contrastive_loss(student, teacher).item()
        b = contrastive_loss(student, teacher, form="B").item()
        assert b >= 9 * a * (1 - 1e-12)
        assert b < 18 * a
    spread = flat(0.0, 0.4)  # one negative each: nothing to tell the forms apart
    a, b = (contrastive_loss(spread, flat(0.1, 0.1), form=form).item() for form in "AB")
    assert b == pytest.approx(a)


def gradient(student: Tensor, teacher: Tensor, *, neg_grad: bool) -> Tensor:
    student = student.clone().requires_grad_()
    (grad,) = torch.autograd.grad(contrastive_loss(student, teacher, neg_grad=neg_grad), student)
    return grad


def test_negatives_carry_no_gradient_by_default() -> None:
    student, teacher = images(0), images(1)
    n, size = len(student), student[0].numel()
    expected = torch.empty_like(student)
    for i in range(n):
        total = sum(d(student[i], student[j]) for j in range(n) if j != i)
        pull = 2 * (student[i] - teacher[i]) / size / total
        push = 2 * (n * student[i] - student.sum(0)) / size * d(student[i], teacher[i]) / total**2
        expected[i] = (pull - push) / n
    torch.testing.assert_close(gradient(student, teacher, neg_grad=False), expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("form", ["A", "B"])
def test_neg_grad_gives_the_full_gradient(form: str) -> None:
    teacher = images(1)

    def loss(student: Tensor, *, neg_grad: bool) -> Tensor:
        return contrastive_loss(student, teacher, form=form, neg_grad=neg_grad)

    student = images(0).requires_grad_()
    assert torch.autograd.gradcheck(lambda one: loss(one, neg_grad=True), student)
    assert not torch.autograd.gradcheck(lambda one: loss(one, neg_grad=False), student, raise_exception=False)


def step_of(student: Tensor, teacher: Tensor, progress: float = 0.5) -> Step:
    view = TeacherView(lambda lr: Output(teacher, {}), student)
    rec = torch.tensor(0.0)
    return Step(student, student, Output(student, {}), view, rec, progress, torch.Generator(), unseen)


def test_the_parameters_of_ckd_reach_its_loss() -> None:
    student, teacher = images(0), images(1)
    step = step_of(student, teacher)
    ckd = registry.build("ckd", {}).losses(step, nn.Module())["ckd"]
    assert ckd.item() == pytest.approx(0.25 * by_loops(student, teacher, "A"))
    ckd = registry.build("ckd", {"ckd": {"weight": 3.0, "form": "B"}}).losses(step, nn.Module())["ckd"]
    assert ckd.item() == pytest.approx(3 * by_loops(student, teacher, "B"))
    student.requires_grad_()
    terms = registry.build("ckd", {"ckd": {"neg_grad": True, "weight": 1.0}}).losses(step, nn.Module())
    (grad,) = torch.autograd.grad(terms["ckd"], student)
    torch.testing.assert_close(grad, gradient(student.detach(), teacher, neg_grad=True))


def test_the_weight_rises_linearly_over_the_warm_up() -> None:
    student, teacher = images(0), images(1)
    full = 0.25 * by_loops(student, teacher, "A")
    for warmup, progress, share in ((0.0, 0.0, 1.0), (0.02, 0.0, 0.0), (0.02, 0.005, 0.25), (0.02, 0.9, 1.0)):
        step = step_of(student, teacher, progress)
        terms = registry.build("ckd", {"ckd": {"warmup": warmup}}).losses(step, nn.Module())
        assert terms["ckd"].item() == pytest.approx(share * full)


def test_ckd_without_warm_up_keeps_the_identity_of_runs_before_its_default_had_one() -> None:
    earlier = {"ckd": {"version": 1, "weight": 0.25, "form": "A", "neg_grad": False}}
    without = registry.build("ckd", {"ckd": {"warmup": 0.0}})
    assert registry.identity(without, "ckd") == earlier
    assert registry.rebuild("ckd", earlier) == without
    default = registry.build("ckd", {})
    assert registry.identity(default, "ckd") == {"ckd": earlier["ckd"] | {"warmup": 0.02}}
    assert registry.rebuild("ckd", registry.identity(default, "ckd")) == default


def features(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(3, 2, 4, 4), (3, 3, 2, 2), (3, 1, 1, 1)]
    return [torch.rand(shape, dtype=torch.float64, generator=generator) for shape in shapes]


def l1(a: Tensor, b: Tensor) -> float:
    pairs = list(zip(a.flatten().tolist(), b.flatten().tolist(), strict=True))
    return float(sum(abs(x - y) for x, y in pairs) / len(pairs))


def test_the_loss_in_a_feature_space_is_as_worked_by_loops() -> None:
    student, teacher, negatives = features(0), features(1), features(2)
    expected = 0.0
    for weight, own, positive, other in zip((1 / 8, 1 / 4, 1), student, teacher, negatives, strict=True):
        apart = [l1(own[i], other[j]) for i in range(3) for j in range(3) if j != i]
        expected += weight * l1(own, positive) / (sum(apart) / 6 + 1e-7)
    assert feature_loss(student, teacher, negatives).item() == pytest.approx(expected, rel=1e-12)


def test_five_maps_have_the_weights_of_csd() -> None:
    student, teacher, negatives = ([torch.full((2, 1), level)] * 5 for level in (0.0, 1.0, 2.0))
    expected = (1 / 32 + 1 / 16 + 1 / 8 + 1 / 4 + 1) / 2
    assert feature_loss(student, teacher, negatives).item() == pytest.approx(expected)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(encoder_file(tmp_path_factory.mktemp("encoder") / "two.pt2"))


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRKD_TRUST", "1")


@pytest.mark.usefixtures("trusted")
def test_the_negatives_in_a_feature_space_are_the_enlarged_other_images(encoder: str) -> None:
    generator = torch.Generator().manual_seed(0)
    lr, (student, teacher) = torch.rand(3, 3, 4, 4), torch.rand(2, 3, 3, 8, 8, generator=generator)
    student.requires_grad_()
    view = TeacherView(lambda lr: Output(teacher, {}), lr)
    rec = torch.tensor(0.0)
    step = Step(lr, teacher, Output(student, {}), view, rec, 0.5, torch.Generator(), unseen)
    method = registry.build("ckd", {"ckd": {"space": encoder, "weight": 0.5}})
    term = method.losses(step, nn.Module())["ckd"]
    module = encoders.load(method.space, torch.device("cpu"))  # type: ignore[attr-defined]
    enlarged = F.interpolate(lr, scale_factor=2, mode="bicubic")
    expected = feature_loss(module(student), module(teacher), module(enlarged))
    assert term.item() == pytest.approx(2 * 200 / 255 * expected.item())
    (grad,) = torch.autograd.grad(term, student)
    assert grad.isfinite().all()
    assert grad.any()


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("check", checks.CHECKS)
def test_ckd_in_a_feature_space_fulfils_the_contract(check: str, encoder: str) -> None:
    checks.CHECKS[check](checks.subject("ckd", {"ckd": {"space": encoder}}))


def test_the_parameters_for_pixels_are_refused_in_a_feature_space(encoder: str) -> None:
    for more in ("form", "B"), ("neg_grad", True):
        with pytest.raises(SrkdError, match="ckd takes space, or form and neg_grad"):
            registry.build("ckd", {"ckd": {"space": encoder, more[0]: more[1]}})
