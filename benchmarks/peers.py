"""A student's training step against that of torchsr's EDSR, where torchsr can be imported (it needs torchvision).

`pip install torchsr==1.0.4` beside a torch and a torchvision that fit each other.
"""

from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.lockstep import learner_of
from benchmarks.measure import Row, by_turns, ratio
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.methods.base import TeacherView
from srkd_bench.networks.base import Output
from srkd_bench.networks.loading import build

TARGET = "5. a 64×16 student's step / torchsr's, the same network"


def rows(quick: bool) -> list[Row]:
    try:
        edsr: Any = import_module("torchsr.models.edsr")
    except Exception as error:  # torchvision raises all sorts where it does not fit torch
        return [Row(TARGET, None, "x", note=f"no torchsr here: {str(error)[:60]}")]
    spec = ModelSpec(n_feats=64, n_resblocks=16)
    train = TrainSpec(batch=2 if quick else 8, patch=8 if quick else 48, steps=1000)
    lr = torch.rand(train.batch, 3, train.patch, train.patch)
    hr = torch.rand(train.batch, 3, 2 * train.patch, 2 * train.patch)
    learner = learner_of("none", spec, train, build(spec, 0), lr)
    view = TeacherView(lambda images: Output(hr, {}), lr)
    theirs = edsr.edsr_baseline(scale=2, pretrained=False)
    optimizer = torch.optim.Adam(theirs.parameters(), 1e-4)

    def plain() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(F.mse_loss(theirs(lr), hr))
        optimizer.step()

    times = by_turns(1 if quick else 5, ours=lambda: learner.advance(lr, hr, view), theirs=plain)
    note = f"{min(times['ours']):.3g} s and {min(times['theirs']):.3g} s, torch {torch.__version__}"
    return [Row(TARGET, ratio(times["ours"], times["theirs"]), "x", note=note)]
