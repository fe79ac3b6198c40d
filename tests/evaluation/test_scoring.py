import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean
from threading import Event, current_thread, main_thread

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from srkd_bench.config.metrics import METRICS
from srkd_bench.config.network import ModelSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.data.image_set import open_set
from srkd_bench.data.images import upscale
from srkd_bench.evaluation import scoring
from srkd_bench.evaluation.inference.module import wrapped
from srkd_bench.evaluation.inference.tiling import Tiled, tiled
from srkd_bench.evaluation.metrics import measure
from srkd_bench.evaluation.scoring import Upscaler, bicubic, concurrency, network, score, validation
from srkd_bench.networks.base import Architecture
from srkd_bench.networks.loading import build
from srkd_bench.store.artifact_store import ArtifactStore

CPU = torch.device("cpu")


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("side", [5, 16])
@torch.inference_mode()
def test_tiled_equals_untiled(scale: int, side: int) -> None:
    model = build(ModelSpec.model_validate({"n_feats": 6, "n_resblocks": 3, "scale": scale}), 0)
    lr = torch.rand(1, 3, 43, 61)
    torch.testing.assert_close(tiled(model, lr, side), model(lr).sr, atol=1e-5, rtol=0)


def test_the_self_ensemble_is_equivariant() -> None:
    model = build(ModelSpec(n_feats=6, n_resblocks=2), 0)
    lr = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    plus, plain = network(model, device=CPU, self_ensemble=True), network(model, device=CPU)
    turned = lr[::-1].swapaxes(0, 1)
    assert np.abs(plus("", turned).astype(int) - plus("", lr)[::-1].swapaxes(0, 1)).max() <= 1
    assert np.abs(plain("", turned).astype(int) - plain("", lr)[::-1].swapaxes(0, 1)).max() > 1


def test_scores_are_those_of_each_image(store: ArtifactStore) -> None:
    images = open_set(store, "photos-test", 2)
    scores = score(bicubic(2), images)
    for i, name in enumerate(images.names):
        assert scores[name] == measure(upscale(images.lr(i), 2), images.hr(i), scale=2, metrics=METRICS)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Return `torch.set_num_threads`; the test's setting ends with it."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


class Stateful(nn.Module):
    """A network that must not run in several threads: it keeps the size of its input until the end of the pass."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, padding=1)
        self.threads = set[str]()

    def forward(self, lr: Tensor) -> Tensor:
        self.threads.add(current_thread().name)
        self.size = lr.shape[-2:]
        sr: Tensor = nn.functional.pixel_shuffle(self.conv(lr), 2)
        return sr[..., : 2 * self.size[0], : 2 * self.size[1]]


@pytest.mark.parametrize("kind", ["edsr", "ensemble", "stateful", "bicubic"])
def test_scores_are_identical_with_any_number_of_threads_and_each_image_is_upscaled_once(
    kind: str, store: ArtifactStore, threads: Callable[[int], None]
) -> None:
    images, stateful = open_set(store, "photos-test", 2), Stateful()
    model: Architecture | None = build(ModelSpec(n_feats=8, n_resblocks=4), 0)
    if kind in ("stateful", "bicubic"):
        model = wrapped(stateful, 2) if kind == "stateful" else None
    upscale: Upscaler = (
        bicubic(2) if model is None else network(model, device=CPU, self_ensemble=kind == "ensemble")
    )
    passes: Counter[str] = Counter()

    def counted(name: str, lr: scoring.Image) -> scoring.Image:
        passes[name] += 1
        return upscale(name, lr)

    found, ticks = [], list[tuple[int, int | None]]()
    for count in (1, 2, 4):
        threads(count)
        at_once = concurrency(images, model)
        assert at_once == (1 if kind == "stateful" else min(count, len(images)))
        found.append(score(counted, images, lambda *done: ticks.append(done), concurrent=at_once))
        assert torch.get_num_threads() == count
    assert found[0] == found[1] == found[2]
    assert ticks == 3 * [(i, len(images)) for i in range(1, len(images) + 1)]
    assert passes == dict.fromkeys(images.names, 3)
    assert stateful.threads <= {main_thread().name}


def test_concurrent_images_fit_in_memory_and_a_gpu_upscales_one_at_a_time(
    store: ArtifactStore, threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    images, model = open_set(store, "photos-test", 2), build(ModelSpec(n_feats=8, n_resblocks=4), 0)
    threads(2)
    assert concurrency(images, model, torch.device("cuda")) == 1
    pixels = max(images.hr(i)[..., 0].size for i in range(len(images)))
    each = pixels * (scoring.METRIC_BYTES + model.pixel_bytes / 4)
    for images_that_fit in (2.1, 1.9, 0.1):
        monkeypatch.setattr(scoring, "MEMORY", images_that_fit * each)
        assert concurrency(images, model) == (2 if images_that_fit > 2 else 1)


def test_a_signal_ends_concurrent_measurements(store: ArtifactStore, threads: Callable[[int], None]) -> None:
    images, begun, stopping = open_set(store, "photos", 2), list[str](), Event()

    def upscale_until_stopped(name: str, lr: scoring.Image) -> scoring.Image:
        begun.append(name)
        if len(begun) > 1:
            stopping.wait(60)
        return bicubic(2)(name, lr)

    def stop(done: int, total: int | None) -> None:
        stopping.set()
        raise KeyboardInterrupt

    threads(2)
    with pytest.raises(KeyboardInterrupt):
        score(upscale_until_stopped, images, stop, concurrent=2)
    assert len(begun) == 3 < len(images)  # one measured, two under way
    assert torch.get_num_threads() == 2


def test_threads_that_run_out_of_memory_together_make_tiles_smaller_once() -> None:
    model = build(ModelSpec(n_feats=4, n_resblocks=1), 0)
    shrunk = Tiled(model, {})
    calls = Counter[str]()

    def short(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        calls["passes"] += 1
        if calls["passes"] == 1:
            shrunk.side = 50  # another thread ran out of memory meanwhile
            raise RuntimeError("DefaultCPUAllocator: not enough memory")

    model.register_forward_pre_hook(short)
    with torch.inference_mode():
        shrunk(torch.rand(1, 3, 60, 60))
    assert shrunk.side == 50


def test_validation_is_the_mean_psnr_of_centre_crops(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, model = open_set(store, "photos-test", 2), build(ModelSpec(n_feats=4, n_resblocks=4), 0)
    monkeypatch.setattr(scoring, "VALIDATION_SIDE", 500)  # whole images
    scores = score(network(model, device=CPU), images)
    whole = fmean(one["psnr_y"] for one in scores.values())
    assert validation(images, CPU)(model) == pytest.approx(whole, abs=1e-9)

    monkeypatch.setattr(scoring, "VALIDATION_SIDE", 20)
    values = []
    for i in range(len(images)):
        lr, hr = images.lr(i), images.hr(i)
        top, left = (lr.shape[0] - 20) // 2, (lr.shape[1] - 20) // 2
        sr = network(model, device=CPU)("", lr[top : top + 20, left : left + 20])
        part = hr[2 * top : 2 * top + 40, 2 * left : 2 * left + 40]
        values.append(measure(sr, part, scale=2, metrics=["psnr_y"])["psnr_y"])
    assert validation(images, CPU)(model) == pytest.approx(fmean(values), abs=1e-9)


def test_sr_of_another_size_is_refused_by_name(store: ArtifactStore) -> None:
    with pytest.raises(SrkdError, match=r"SR of '\w+' \(photos-test\) is \d+×\d+ pixels, HR is \d+×\d+"):
        score(lambda name, lr: lr, open_set(store, "photos-test", 2))


SHORT_OF_MEMORY = """
import resource, sys
import numpy as np, torch
from srkd_bench.config.network import ModelSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.evaluation.scoring import network
from srkd_bench.networks.loading import build

model, cpu = build(ModelSpec(n_feats=64, n_resblocks=2), 0), torch.device("cpu")
lr = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
enough = network(model, device=cpu)("x", lr)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[1]) * 10**6,) * 2)
card = {}
try:
    little = network(model, device=cpu, card=card)("x", lr)
    print(card["tile"], int((little != enough).sum()))
except SrkdError as error:
    print(error.message)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("megabytes", "said"),
    [(150, r"\d+ 0\n"), (5, r"not enough memory for EDSR 64×2 on tiles of 32×32 pixels\n")],
)
def test_smaller_tiles_give_the_same_scores_and_are_recorded_in_the_card(megabytes: int, said: str) -> None:
    told = subprocess.check_output([sys.executable, "-c", SHORT_OF_MEMORY, str(megabytes)], text=True)
    assert re.fullmatch(said, told)


def test_measuring_disables_tf32_and_restores_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    model = build(ModelSpec(n_feats=2, n_resblocks=1), 0)
    model.register_forward_hook(lambda *words: seen.append(torch.backends.cudnn.allow_tf32))
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    network(model, device=torch.device("cpu"))("", np.zeros((8, 8, 3), np.uint8))
    assert seen == [False]
    assert torch.backends.cudnn.allow_tf32
