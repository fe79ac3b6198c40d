import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.config.network import ModelSpec
from srkd_bench.methods import registry
from srkd_bench.methods.base import Losses, Method, Step, TeacherView
from srkd_bench.methods.builtin.augkd import AugKD, Turn, zoomed_in, zoomed_out
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

    def __init__(self, method: Method, seed: int = 0) -> None:
        self.asked: dict[str, list[Tensor]] = {"student": [], "teacher": []}
        self.lr, self.hr = images(0, 4, 6), images(1, 8, 12)
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


def test_zoomed_in_is_a_random_crop_of_hr() -> None:
    hr = torch.arange(4 * 5).view(1, 1, 4, 5).expand(2, 3, 4, 5)
    lr = torch.zeros(2, 3, 2, 3)
    own = torch.Generator().manual_seed(0)
    found = {int(zoomed_in(hr, lr, own)[0, 0, 0, 0]) for _ in range(200)}
    assert found == {row * 5 + column for row in range(3) for column in range(3)}
    assert zoomed_in(hr, lr, own).shape == lr.shape


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


def test_augkd_is_as_worked_by_hand() -> None:
    lesson = Lesson(AugKD(weight=2.0, response=3.0, turn=False))
    assert list(lesson.terms) == ["rec", "response", "zoom_in", "zoom_out"]
    batch, zoom_in, zoom_out = lesson.asked["teacher"]
    assert torch.equal(batch, lesson.lr)
    assert torch.equal(zoom_out, zoomed_out(lesson.lr, 2))
    assert zoom_in.shape == lesson.lr.shape
    for term, lr, weight in (("response", batch, 3), ("zoom_in", zoom_in, 2), ("zoom_out", zoom_out, 2)):
        by_hand = weight * 0.1**2 * upscaled(lr, 1.0).square().mean().item()
        assert lesson.terms[term].item() == pytest.approx(by_hand, rel=1e-4), term


def test_the_student_gets_turned_images_and_the_teacher_the_originals() -> None:
    for seed in range(10):
        lesson = Lesson(AugKD(weight=1.0), seed)
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


def test_a_student_equal_to_its_teacher_has_loss_only_from_turns() -> None:
    network = build(ModelSpec(n_feats=4, n_resblocks=2), 0)
    lr, hr = images(0, 6, 6), images(1, 12, 12)

    def terms(method: AugKD) -> Losses:
        def see(images: Tensor) -> Output:
            output: Output = network(images)
            return output

        own = torch.Generator().manual_seed(0)
        step = Step(lr, hr, see(lr), TeacherView(see, lr), torch.tensor(0.0), 0.5, own, see)
        return method.losses(step, nn.Module())

    assert all(loss.item() == pytest.approx(0, abs=1e-10) for loss in terms(AugKD(turn=False)).values())
    assert terms(AugKD())["zoom_in"] > 1e-6


def test_the_parameters_of_augkd_reach_its_loss() -> None:
    plain = Lesson(registry.build("augkd", {})).terms
    for params, term, factor in (({"weight": 5.0}, "zoom_in", 20), ({"response": 4.0}, "response", 16)):
        terms = Lesson(registry.build("augkd", {"augkd": params})).terms
        assert terms[term].item() == pytest.approx(factor * plain[term].item())
