import re
import subprocess
import sys
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch

from srkd_bench.config.metrics import METRICS
from srkd_bench.config.network import ModelSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.data.image_set import open_set
from srkd_bench.data.images import upscale
from srkd_bench.evaluation import scoring
from srkd_bench.evaluation.inference.tiling import tiled
from srkd_bench.evaluation.metrics import measure
from srkd_bench.evaluation.scoring import bicubic, network, score, validation
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
