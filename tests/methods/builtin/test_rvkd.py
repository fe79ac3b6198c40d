import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from srkd_bench.config.network import ModelSpec
from srkd_bench.core.seeding import seeded
from srkd_bench.methods import registry
from srkd_bench.methods.base import Losses, Step, TeacherView
from srkd_bench.methods.builtin.rvkd import Fusion, Review, context_loss
from srkd_bench.networks.loading import build
from tests.methods import unseen

TAPS = (0.25, 0.5, 0.75, 1.0)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Networks this small are slower on several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def features(channels: int, seed: int, side: int = 8, n: int = 2) -> Tensor:
    return torch.randn(n, channels, side, side, generator=torch.Generator().manual_seed(seed))


def review(*, raw: bool = False) -> tuple[Review, list[Tensor]]:
    """Return four fusions from 5 to 6 channels, and the teacher's features that they were made for."""
    levels = [3 + 10 * (1 + i) * features(6, i, n=16) for i in range(4)]
    with seeded("test"):
        return Review([5] * 4, 7, levels, raw=raw), levels


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        (1, 1),
        (2, (1 + 0.25 / 2) / 1.5),
        (4, (1 + 0.25 / 2 + 0.0625 / 4) / 1.75),
        (8, (1 + 0.25 / 2 + 0.0625 / 4 + 0.015625 / 8) / 1.875),
    ],
)
def test_context_loss_of_one_wrong_pixel_is_as_worked_by_hand(side: int, expected: float) -> None:
    # Off by `side` at one of side² pixels: MSE 1; halving the sides keeps a quarter of it.
    guided = torch.zeros(1, 1, side, side)
    hint = guided.clone()
    hint[0, 0, 0, 0] = side
    assert context_loss(guided, hint).item() == pytest.approx(expected)


def test_context_loss_of_a_constant_difference_is_its_square() -> None:
    hint = features(6, 0, side=9)
    assert context_loss(hint + 0.5, hint).item() == pytest.approx(0.25, rel=1e-5)
    assert context_loss(hint, hint) == 0


def test_a_fusion_maps_the_student_to_the_teachers_channels() -> None:
    fusion = Fusion(5, 7, 6, fuse=True)
    output, onward = fusion(features(5, 0), features(7, 1, side=4))  # the deeper level may be smaller
    assert output.shape == (2, 6, 8, 8)
    assert onward.shape == (2, 7, 8, 8)


def test_a_fusion_weights_by_its_two_attention_maps() -> None:
    fusion = Fusion(5, 7, 6, fuse=True).eval()
    assert fusion.attention is not None
    convolution = fusion.attention[0]
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.bias is not None
    with torch.no_grad():
        convolution.weight.zero_()
        convolution.bias.copy_(torch.tensor([0.0, math.log(3)]))  # maps of 1/2 and 3/4
    own, deeper = features(5, 0), features(7, 1)
    output, onward = fusion(own, deeper)
    torch.testing.assert_close(onward, fusion.enter(own) / 2 + deeper * 3 / 4)
    torch.testing.assert_close(output, fusion.leave(onward))


def test_a_fusion_has_the_authors_layers() -> None:
    fusion = Fusion(5, 7, 6, fuse=True)
    kinds = [type(layer) for layer in (*fusion.enter, *fusion.leave)]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d] * 2  # no ReLU
    sizes = {name: tuple(weight.shape) for name, weight in fusion.named_parameters()}
    assert sizes["enter.0.weight"] == (7, 5, 1, 1)
    assert sizes["attention.0.weight"] == (2, 14, 1, 1)
    assert sizes["leave.0.weight"] == (6, 7, 3, 3)
    assert [name for name in sizes if name.endswith("0.bias")] == ["attention.0.bias"]


def test_levels_are_fused_from_deep_to_shallow() -> None:
    adapter, levels = review()
    guided = [features(5, 10 + i).requires_grad_() for i in range(4)]
    fused, _ = adapter(guided, [level[:2] for level in levels])
    for i, output in enumerate(fused):
        grads = torch.autograd.grad(output.square().sum(), guided, retain_graph=True, allow_unused=True)
        assert [grad is not None for grad in grads] == [j >= i for j in range(4)]


def test_the_deepest_level_has_no_attention() -> None:
    fusions = [fusion for fusion in review()[0].fusions if isinstance(fusion, Fusion)]
    assert [fusion.attention is None for fusion in fusions] == [False, False, False, True]


def test_the_teachers_features_are_standardised_per_channel() -> None:
    adapter, levels = review()
    _, hints = adapter([features(5, i, n=16) for i in range(4)], levels)
    for hint in hints:
        deviation, mean = torch.std_mean(hint, dim=(0, 2, 3))
        torch.testing.assert_close(mean, torch.zeros(6), rtol=0, atol=1e-5)
        torch.testing.assert_close(deviation, torch.ones(6), rtol=1e-4, atol=0)


def test_a_constant_channel_does_not_divide_by_zero() -> None:
    adapter = Review([5], 7, [torch.ones(2, 6, 4, 4)], raw=False)
    _, hints = adapter([features(5, 0)], [torch.ones(2, 6, 8, 8)])
    assert (hints[0] == 0).all()


def test_raw_compares_unscaled_features() -> None:
    adapter, levels = review(raw=True)
    _, hints = adapter([features(5, i, n=16) for i in range(4)], levels)
    assert all(map(torch.equal, hints, levels))


@pytest.mark.parametrize("raw", [False, True])
def test_the_teachers_statistics_are_stored_but_not_trained(raw: bool) -> None:
    adapter, _ = review(raw=raw)
    names = {f"{kind}{i}" for kind in ("mean", "deviation") for i in range(4)}
    assert names <= {name for name, _ in adapter.named_buffers()}
    assert names <= adapter.state_dict().keys()
    assert all(name.startswith("fusions.") for name, _ in adapter.named_parameters())


class Lesson:
    """A small student and teacher, and what the method shows for them."""

    def __init__(self, **params: float | bool) -> None:
        self.method = registry.build("rvkd", {"rvkd": params})
        student = build(ModelSpec(n_feats=5, n_resblocks=4), 0)
        teacher = build(ModelSpec(n_feats=6, n_resblocks=8), 1)
        self.lr = torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        with seeded("test"):
            self.adapter = self.method.adapter(teacher, student, self.lr)
        with torch.no_grad():
            self.student, self.teacher = student(self.lr, TAPS), teacher(self.lr, TAPS)
        self.guided = [self.student.feats[tap] for tap in TAPS]
        self.hints = [self.teacher.feats[tap] for tap in TAPS]

    def losses(self, progress: float) -> Losses:
        view = TeacherView(lambda lr: self.teacher, self.lr)
        rec, own = torch.tensor(0.0), torch.Generator()
        step = Step(self.lr, self.lr, self.student, view, rec, progress, own, unseen)
        return self.method.losses(step, self.adapter)

    def loss(self, progress: float) -> float:
        return self.losses(progress)["rvkd"].item()


def test_rvkd_is_the_sum_of_the_levels_context_losses() -> None:
    lesson = Lesson(weight=2.0)
    pairs = zip(*lesson.adapter(lesson.guided, lesson.hints), strict=True)
    expected = 2 * sum(context_loss(fused, hint).item() for fused, hint in pairs)
    assert list(lesson.losses(0.5)) == ["rec", "rvkd"]
    assert lesson.loss(0.5) == pytest.approx(expected, rel=1e-5)


def test_the_weight_rises_linearly_over_the_first_8_percent() -> None:
    lesson = Lesson()
    full = lesson.loss(0.5)
    assert full > 0
    for progress, share in ((0, 0), (0.02, 0.25), (0.04, 0.5), (0.08, 1), (0.99, 1)):
        assert lesson.loss(progress) == pytest.approx(share * full, rel=1e-6)
    assert Lesson(warmup=0.5).loss(0.25) == pytest.approx(full / 2, rel=1e-6)
    assert Lesson(warmup=0.0).loss(0) == pytest.approx(full, rel=1e-6)


def test_the_parameters_of_rvkd_reach_its_adapter() -> None:
    lesson = Lesson(mid=9, raw=True)
    assert tuple(lesson.adapter.state_dict()["fusions.0.enter.0.weight"].shape) == (9, 5, 1, 1)
    assert all(map(torch.equal, lesson.adapter(lesson.guided, lesson.hints)[1], lesson.hints))
    assert registry.build("rvkd", {}).taps == TAPS
    own = Lesson(mid=0).adapter.state_dict()  # min(512, the student's channels)
    assert tuple(own["fusions.3.enter.0.weight"].shape) == (5, 5, 1, 1)
