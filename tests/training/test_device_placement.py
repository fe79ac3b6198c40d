"""Every tensor of training, evaluation and export is on the chosen device, tested on torch's `meta` device."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from srkd_bench.core.errors import Stopped
from srkd_bench.core.progress import Display
from srkd_bench.core.signals import Interrupted
from srkd_bench.data.image_set import open_set
from srkd_bench.evaluation import scoring
from srkd_bench.evaluation.inference import export, tiling
from srkd_bench.evaluation.inference.module import Upscaler
from srkd_bench.methods import registry
from srkd_bench.methods.base import Losses, Method, Step
from srkd_bench.networks.loading import build
from srkd_bench.networks.stored import Chosen
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import Workplace
from srkd_bench.training.contract.harness import STUDENT, TEACHER, TRAIN, Noise, learner_of
from srkd_bench.training.contract.random_encoder import completed
from srkd_bench.training.loop import fit
from tests.support.device_placement import META, on_meta
from tests.support.finished_runs import pair

# Parameters that run further code: drawn positions, which a patch of the test has too few pixels for, and losses
# that are off by default.
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in registry.names()),
    ("rkd+hkd", {}),
    ("fakd", {"positions": 9}),
    ("hkd", {"domain": "wavelet"}),
    ("ckd", {"form": "B", "neg_grad": True}),
    ("rkd", {"angle": 1.0}),
]


def train(name: str, method: Method, folder: Path, stop: int | None = None) -> None:
    """Train on the `meta` device, with validation."""

    def watch(step: int) -> None:
        if step == stop:
            raise Interrupted(2)

    with on_meta() as device:
        teacher = build(TEACHER, 1).to(device).requires_grad_(False).eval()
        learner = learner_of(name, method, teacher, folder, TRAIN, device=device)
        fit([learner], teacher, Noise(TRAIN), device=device, validate=validate, watch=watch)
    assert (learner.step, learner.error) == (TRAIN.steps, None)
    weights = [*learner.student.parameters(), *learner.adapter.parameters()]
    assert {weight.device for weight in weights} == {META}


def validate(model: nn.Module) -> float:
    return float(model(torch.zeros(1, 3, 8, 8, device=META)).sr.mean().item())


@pytest.mark.parametrize(("name", "params"), VARIANTS, ids=lambda value: str(value))
def test_every_method_trains_and_resumes_on_one_device(
    name: str, params: dict[str, Any], tmp_path: Path
) -> None:
    method = completed(registry.build(name, {name: params}))
    with pytest.raises(Stopped):
        train(name, method, tmp_path, stop=2)
    train(name, method, tmp_path)


@dataclass(frozen=True)
class Misplaced(Method):
    """A method that creates a tensor on the CPU."""

    kind = "none"
    source = "test"

    use: str = "add"

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return `rec`, computed with a tensor on the CPU."""
        sr = step.student.sr
        mixed: dict[str, Any] = {
            "add": lambda: sr + torch.rand(sr.shape[-1], generator=step.generator),
            "convolution": lambda: F.conv2d(sr, torch.ones(1, 3, 3, 3)),
            "index": lambda: sr[torch.randperm(len(sr), generator=step.generator)],
            "product": lambda: sr @ torch.ones(sr.shape[-1], 2),
        }
        return {"rec": step.rec + mixed[self.use]().mean()}


@pytest.mark.parametrize("use", ["add", "convolution", "index", "product"])
def test_a_tensor_on_the_cpu_is_found(use: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"mixes tensors on cpu and meta|not on the expected device"):
        train("misplaced", Misplaced(use), tmp_path)


def test_evaluation_reads_only_its_result_from_the_device(store: ArtifactStore, display: Display) -> None:
    images = open_set(store, "photos-test", 2, display)
    with on_meta() as device:
        model = build(STUDENT, 0)
        for self_ensemble in (False, True):
            upscale = scoring.network(model, device=device, self_ensemble=self_ensemble)
            assert upscale("", images.lr(0)[:12, :8]).shape == (24, 16, 3)
        assert {weight.device for weight in model.parameters()} == {META}
        assert np.isfinite(scoring.validation(images, device)(model))
        assert tiling.tiled(model, torch.rand(1, 3, 90, 80).to(device), 16).device == META
        assert np.asarray(Upscaler(model).upscale(images.lr(0)[:12, :8])).shape == (24, 16, 3)


@pytest.mark.parametrize("to", ["safetensors", "pt2"])
def test_a_network_is_exported_from_any_device(
    to: str, store: ArtifactStore, display: Display, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "BOUND", math.inf)  # the weights' values do not exist on `meta`
    monkeypatch.setattr(export, "BOUND_DB", math.inf)
    with on_meta() as device:
        student, _ = pair(tmp_path / "home")
        chosen = Chosen(student, build(student.model, 0).to(device), "student")
        file = tmp_path / f"network{export.FORMATS[to]}"
        assert export.export(chosen, to, file, Workplace(store, display)).images
    assert file.stat().st_size
