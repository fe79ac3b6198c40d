import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.config.network import ModelSpec
from srkd_bench.methods import registry
from srkd_bench.methods.base import Losses, Method, Step, TeacherView
from srkd_bench.methods.builtin.augkd import AugKD, Changes, Turn, grid_crops, random_crop, zoomed_out
from srkd_bench.networks.base import Output
from srkd_bench.networks.loading import build

TURNS = [Turn(*flags) for flags in itertools.product([False, True], repeat=3)]


def images(seed: int, height: int, width: int, n: int = 2) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(seed))


def upscaled(lr: Tensor, gain: float) -> Tensor:
    """A fake network that is not equivariant to turns."""
    sr = F.interpolate(lr, scale_factor=2)
    return gain * sr * torch.linspace(0.1, 1, sr.shape[-1])


class Lesson:
    """A batch, and all inputs of student and teacher."""

    def __init__(self, method: Method, seed: int = 0, lr: Tensor | None = None) -> None:
        self.asked: dict[str, list[Tensor]] = {"student": [], "teacher": []}
        self.lr = images(0, 4, 4) if lr is None else lr
        self.hr = images(1, 2 * self.lr.shape[-2], 2 * self.lr.shape[-1], len(self.lr))
        view = TeacherView(lambda lr: self.see("teacher", lr), self.lr)
        output = self.see("student", self.lr)
        own = torch.Generator().manual_seed(seed)
        rec = torch.tensor(0.25)
        step = Step(self.lr, self.hr, output, view, rec, 0.5, own, lambda lr: self.see("student", lr))
        self.terms: Losses = method.losses(step, nn.Module())

    def see(self, who: str, lr: Tensor) -> Output:
        self.asked[who].append(lr)
        return Output(upscaled(lr, {"student": 0.9, "teacher": 1.0}[who]), {})


def test_a_turn_flips_and_then_transposes() -> None:
    image = torch.tensor([[1, 2, 3], [4, 5, 6]]).view(1, 1, 2, 3)
    assert Turn(across=True)(image).tolist() == [[[[3, 2, 1], [6, 5, 4]]]]
    assert Turn(down=True)(image).tolist() == [[[[4, 5, 6], [1, 2, 3]]]]
    assert Turn(transpose=True)(image).tolist() == [[[[1, 4], [2, 5], [3, 6]]]]
    assert Turn(across=True, transpose=True)(image).tolist() == [[[[3, 6], [2, 5], [1, 4]]]]


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_back_inverts_a_turn(turn: Turn) -> None:
    image = images(0, 5, 5)
    assert torch.equal(turn.back(turn(image)), image)


def test_back_applies_the_inverses_in_reverse_order() -> None:
    image, turn = images(0, 5, 5), Turn(across=True, transpose=True)
    wrong = turn(image).flip([3]).transpose(2, 3)  # inverted in the wrong order
    assert not torch.equal(wrong, image)
    assert torch.equal(turn.back(turn(image)), image)


def test_all_eight_turns_differ_and_are_drawn() -> None:
    image = images(0, 5, 5)
    turned = [turn(image) for turn in TURNS]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(turned, 2))
    own = torch.Generator().manual_seed(0)
    assert {Turn.drawn(own) for _ in range(100)} == set(TURNS)


def test_a_random_crop_of_hr_has_the_size_of_lr() -> None:
    hr = torch.arange(4 * 5).view(1, 1, 4, 5).expand(2, 3, 4, 5)
    lr = torch.zeros(2, 3, 2, 3)
    own = torch.Generator().manual_seed(0)
    found = {int(random_crop(hr, lr, own)[0, 0, 0, 0]) for _ in range(200)}
    assert found == {row * 5 + column for row in range(3) for column in range(3)}
    assert random_crop(hr, lr, own).shape == lr.shape


def test_zoomed_out_is_antialiased_bicubic_in_8_bits() -> None:
    def keys(x: float) -> float:
        x = abs(x)
        return 1.5 * x**3 - 2.5 * x**2 + 1 if x < 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0

    row = [round(255 * value) / 255 for value in images(3, 1, 16)[0, 0, 0].tolist()]
    smaller = zoomed_out(torch.tensor(row).view(1, 1, 1, 16), 2)
    assert smaller.shape == (1, 1, 1, 8)
    for i in range(2, 6):  # away from the border
        weights = [keys((j + 0.5) / 2 - (i + 0.5)) for j in range(16)]
        value = sum(w * v for w, v in zip(weights, row, strict=True)) / sum(weights)
        assert smaller[0, 0, 0, i].item() == pytest.approx(round(255 * min(max(value, 0), 1)) / 255, abs=1e-6)
    levels = 255 * zoomed_out(images(0, 9, 7), 2)
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_zoomed_out_has_at_least_one_pixel(scale: int) -> None:
    assert zoomed_out(images(0, 1, 9), scale).shape == (2, 3, 1, 9 // scale)


def test_crops_are_different_cells_of_the_grid() -> None:
    hr = torch.arange(6 * 9).view(1, 1, 6, 9).expand(2, 3, 6, 9)  # scale 3 of a 2 × 3 LR
    lr, own = torch.zeros(2, 3, 2, 3), torch.Generator().manual_seed(0)
    corners = {row * 9 + column for row in (0, 2, 4) for column in (0, 3, 6)}
    seen = set()
    for _ in range(50):
        crops = grid_crops(hr, lr, 2, own)
        assert crops.shape == (4, 3, 2, 3)
        first, again, second, last = crops[:, 0, 0, 0].tolist()
        assert (first, second) == (again, last)  # the same for both images
        assert first != second
        seen |= {first, second}
        assert crops[2, 0].tolist() == [
            [second, second + 1, second + 2],
            [second + 9, second + 10, second + 11],
        ]
    assert seen == corners
    assert grid_crops(hr, lr, 16, own)[::2, 0, 0, 0].sort().values.tolist() == sorted(corners)


def changed(*which: bool) -> Changes:
    return Changes(torch.tensor(which).view(4, 1, 1, 1, 1))


def test_an_image_is_inverted_then_flipped_then_transposed() -> None:
    image = torch.tensor([[0.1, 0.2], [0.3, 0.4]]).view(1, 1, 2, 2)
    for which, expected in (
        ((True, False, False, False), [[0.9, 0.8], [0.7, 0.6]]),
        ((False, True, False, False), [[0.3, 0.4], [0.1, 0.2]]),
        ((False, False, True, False), [[0.2, 0.1], [0.4, 0.3]]),
        ((False, False, False, True), [[0.1, 0.3], [0.2, 0.4]]),
        ((True, True, False, True), [[0.7, 0.9], [0.6, 0.8]]),
    ):
        torch.testing.assert_close(changed(*which)(image), torch.tensor(expected).view(1, 1, 2, 2))


def test_changes_are_drawn_for_each_image_and_undone() -> None:
    changes = Changes.drawn(2000, torch.Generator().manual_seed(0))
    assert changes.chosen.float().mean((1, 2, 3, 4)).tolist() == pytest.approx([0.3] * 4, abs=0.04)
    together = changes.chosen.float().prod(0).mean().item()
    assert together == pytest.approx(0.3**4, abs=0.006)  # independent
    batch = images(0, 5, 5, 2000)
    torch.testing.assert_close(changes.back(changes(batch)), batch)
    which = changes.chosen[:, 7].flatten().tolist()
    assert torch.equal(changes(batch)[7:8], changed(*which)(batch[7:8]))


# Of the earlier code, for the batch below and seed 0.
NUMBERS = {
    "rec": 0.25,
    "response": 0.0002952375798486173,
    "zoom_in": 0.014347591437399387,
    "zoom_out": 0.01277998648583889,
}
EARLIER = {"crops": 0, "changes": "batch", "truth": 0.0, "weight": 0.25, "response": 0.25}


def test_augkd_is_as_worked_by_hand() -> None:
    lesson = Lesson(AugKD(weight=2.0, response=3.0, truth=5.0, turn=False))
    assert list(lesson.terms) == ["rec", "response", "zoom_in", "zoom_out", "truth"]
    batch, zoom_in, zoom_out = lesson.asked["teacher"]
    assert torch.equal(batch, lesson.lr)
    assert torch.equal(zoom_out, zoomed_out(lesson.lr, 2))
    assert zoom_in.shape == (4, 3, 4, 4)
    for term, lr, weight in (("response", batch, 3), ("zoom_in", zoom_in, 2), ("zoom_out", zoom_out, 2)):
        by_hand = weight * 0.1**2 * upscaled(lr, 1.0).square().mean().item()
        assert lesson.terms[term].item() == pytest.approx(by_hand, rel=1e-4), term
    by_hand = 5 * (upscaled(zoom_out, 0.9) - lesson.lr).square().mean().item()
    assert lesson.terms["truth"].item() == pytest.approx(by_hand)
    absolute = Lesson(AugKD(weight=2.0, turn=False, loss="l1")).terms
    by_hand = 2 * 0.1 * upscaled(zoom_in, 1.0).abs().mean().item()
    assert absolute["zoom_in"].item() == pytest.approx(by_hand, rel=1e-4)
    assert list(Lesson(AugKD(zoom_out=False)).terms) == ["rec", "response", "zoom_in"]


def test_only_zoomed_in_images_are_changed_for_the_student() -> None:
    for seed in range(10):
        lesson = Lesson(AugKD(weight=1.0), seed)
        _, mine, smaller = lesson.asked["student"]
        _, its, same = lesson.asked["teacher"]
        assert torch.equal(smaller, same)
        own = torch.Generator().manual_seed(seed)
        grid_crops(lesson.hr, lesson.lr, 2, own)
        changes = Changes.drawn(4, own)
        torch.testing.assert_close(mine, changes(its))
        by_hand = F.mse_loss(changes.back(upscaled(mine, 0.9)), upscaled(its, 1.0))
        assert lesson.terms["zoom_in"].item() == pytest.approx(by_hand.item())


@pytest.mark.parametrize("side", [5, 7])
def test_lr_that_is_no_multiple_of_the_scale_is_cut_for_its_own_ground_truth(side: int) -> None:
    lesson = Lesson(AugKD(turn=False), lr=images(0, side, side))
    even = lesson.lr[..., : side - 1, : side - 1]
    smaller = lesson.asked["student"][2]
    assert torch.equal(smaller, zoomed_out(even, 2))
    assert lesson.terms["truth"].item() == pytest.approx(F.mse_loss(upscaled(smaller, 0.9), even).item())


def test_the_earlier_form_keeps_identity_and_numbers() -> None:
    method = registry.build("augkd", {"augkd": EARLIER})
    earlier = {"augkd": {"version": 1, "weight": 0.25, "response": 0.25, "turn": True}}
    assert registry.identity(method, "augkd") == earlier
    assert registry.rebuild("augkd", earlier) == method
    terms = Lesson(method, lr=images(0, 4, 6)).terms
    assert {name: loss.item() for name, loss in terms.items()} == pytest.approx(NUMBERS, rel=1e-5)


def test_the_earlier_form_turns_all_images_of_a_batch_alike() -> None:
    method = AugKD(**EARLIER | {"weight": 1.0})  # type: ignore[arg-type]
    for seed in range(10):
        lesson = Lesson(method, seed)
        for i, term in ((1, "zoom_in"), (2, "zoom_out")):
            mine, its = lesson.asked["student"][i], lesson.asked["teacher"][i]
            sr = upscaled(its, 1.0)
            gaps = [
                F.mse_loss(turn.back(upscaled(mine, 0.9)), sr)
                for turn in TURNS
                if torch.equal(turn(its), mine)
            ]
            assert len(gaps) == 1, term
            assert lesson.terms[term].item() == pytest.approx(gaps[0].item())


def test_augkd_uses_only_its_own_random_numbers() -> None:
    first, again, other = (Lesson(AugKD(), seed).terms for seed in (0, 0, 3))
    assert first == again
    assert first["zoom_in"] != other["zoom_in"]


def test_a_student_equal_to_its_teacher_has_loss_only_from_changes_and_ground_truth() -> None:
    network = build(ModelSpec(n_feats=4, n_resblocks=2), 0)
    lr, hr = images(0, 6, 6), images(1, 12, 12)

    def terms(method: AugKD) -> Losses:
        def see(images: Tensor) -> Output:
            output: Output = network(images)
            return output

        own = torch.Generator().manual_seed(0)
        step = Step(lr, hr, see(lr), TeacherView(see, lr), torch.tensor(0.0), 0.5, own, see)
        return method.losses(step, nn.Module())

    without = terms(AugKD(turn=False))
    assert without.pop("truth") > 1e-6  # the ground truth, not the teacher
    assert all(loss.item() == pytest.approx(0, abs=1e-10) for loss in without.values())
    assert terms(AugKD())["zoom_in"] > 1e-6


def test_the_parameters_of_augkd_reach_its_loss() -> None:
    plain = Lesson(registry.build("augkd", {})).terms
    for params, term, factor in (
        ({"weight": 5.0}, "zoom_in", 25),
        ({"response": 4.0}, "response", 20),
        ({"truth": 3.0}, "truth", 3),
    ):
        terms = Lesson(registry.build("augkd", {"augkd": params})).terms
        assert terms[term].item() == pytest.approx(factor * plain[term].item())
