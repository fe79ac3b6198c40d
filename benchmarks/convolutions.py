"""A student's training step against its bare convolutions, forward and backward, with the same shapes."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.lockstep import learner_of
from benchmarks.measure import Row, by_turns, ratio
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.methods.base import TeacherView
from srkd_bench.networks.base import Output
from srkd_bench.networks.loading import build


def rows(quick: bool) -> list[Row]:
    spec = ModelSpec(n_feats=4, n_resblocks=4) if quick else ModelSpec(n_feats=64, n_resblocks=16)
    train = TrainSpec(batch=2 if quick else 8, patch=8 if quick else 48, steps=1000)
    network, lr = build(spec, 0), torch.rand(train.batch, 3, train.patch, train.patch)
    hr = torch.rand(train.batch, 3, 2 * train.patch, 2 * train.patch)
    seen: list[tuple[nn.Conv2d, Tensor]] = []
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_hook(lambda part, given, out: seen.append((part, given[0].detach())))
    network(lr)
    grads = [torch.rand_like(part(given)) for part, given in list(seen)]
    layers = seen[: len(grads)]

    def bare() -> None:
        for i, ((part, given), grad) in enumerate(zip(layers, grads, strict=True)):
            given = given.requires_grad_(i > 0)
            out = F.conv2d(given, part.weight, part.bias, padding=1)
            wanted = [part.weight, part.bias, *([given] if i else [])]
            torch.autograd.grad(out, wanted, grad)  # type: ignore[arg-type]  # every bias is there

    learner = learner_of("none", spec, train, network, lr)
    view = TeacherView(lambda images: Output(hr, {}), lr)
    times = by_turns(1 if quick else 7, step=lambda: learner.advance(lr, hr, view), bare=bare)
    return [
        Row(
            "5. a 64×16 student's step / its bare convolutions",
            ratio(times["step"], times["bare"]),
            "x",
            1.10,
            note=f"{min(times['step']):.3g} s and {min(times['bare']):.3g} s",
        ),
    ]
