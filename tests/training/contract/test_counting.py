"""Multiply-adds of a step, compared with values computed by hand."""

import pytest

from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.methods import registry
from srkd_bench.networks.loading import build
from srkd_bench.training.contract.counting import Count, counted, relative

STUDENT, TEACHER = ModelSpec(n_feats=4, n_resblocks=2), ModelSpec(n_feats=6, n_resblocks=3)
TRAIN = TrainSpec(batch=4, patch=12, steps=10)
PIXELS = 2 * 12 * 12
IMAGE = 9 * 3 * STUDENT.n_feats  # the image gets no gradient


def count(name: str, **params: float | bool) -> Count:
    method = registry.build(name, {name: params})
    teacher = build(TEACHER, 1).requires_grad_(False).eval() if method.looks else None
    return counted(method, build(STUDENT, 0), teacher, TRAIN, 2)


def test_a_step_is_a_forward_pass_and_two_gradients() -> None:
    alone = count("none")
    assert alone.multiply_adds == (3 * STUDENT.multiply_adds - IMAGE) * PIXELS
    assert (alone.weights, alone.other_images) == (0, False)


def test_the_teachers_pass_on_the_batch_is_not_counted() -> None:
    assert count("hkd") == count("none")


def test_a_modules_passes_are_counted() -> None:
    """Of FitNet's regressor too: forward, and the gradients of its weights and of the student's features."""
    extra = count("fitnet").multiply_adds - count("none").multiply_adds
    assert extra == 3 * STUDENT.n_feats * TEACHER.n_feats * PIXELS
    assert count("fitnet").weights == STUDENT.n_feats * TEACHER.n_feats + TEACHER.n_feats


def test_a_resumed_network_is_counted_with_the_gradient_of_its_features() -> None:
    """CrossKD: a 1×1 convolution, the teacher's head, and its tail forwards and backwards, without its weights.

    The student's tail gets no second gradient.
    """
    n, scale = TEACHER.n_feats, TEACHER.scale
    tail = 9 * n * n + 9 * n * scale**2 * n + 9 * n * 3 * scale**2
    head = 9 * 3 * n
    extra = count("crosskd").multiply_adds - count("none").multiply_adds
    assert extra == (3 * STUDENT.n_feats * n + head + 2 * tail) * PIXELS


def test_passes_on_other_images_are_counted() -> None:
    """AugKD: two crops of LR's size, and LR of a quarter of the pixels, for both networks."""
    student, teacher = 3 * STUDENT.multiply_adds - IMAGE, TEACHER.multiply_adds
    found = count("augkd")
    assert found.multiply_adds - count("none").multiply_adds == 2.25 * (student + teacher) * PIXELS
    assert found.other_images


def test_the_mean_is_taken_over_what_a_method_draws() -> None:
    """MiPKD resumes student or teacher at each depth, as it draws, so that steps differ."""
    assert not (count("mipkd").multiply_adds / PIXELS).is_integer()


@pytest.mark.parametrize(("name", "wanted"), [("none", 1.0), ("hkd", 1.0), ("dml", 2.0)])
def test_the_cost_relative_to_a_step_without_distillation(name: str, wanted: float) -> None:
    teacher = build(TEACHER, 1).requires_grad_(False).eval()
    assert relative(registry.build(name, {}), build(STUDENT, 0), teacher, TRAIN) == wanted
