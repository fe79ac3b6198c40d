"""Six small students as one grouped network, against one by one and against a plain EDSR as BasicSR trains it."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.lockstep import learner_of
from benchmarks.measure import Row, by_turns, ratio
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.methods.base import TeacherView
from srkd_bench.networks.base import Output
from srkd_bench.training.learner import Learner
from srkd_bench.training.stack import Stack
from srkd_bench.training.transfers import Batch, settle

STUDENTS = [(method, seed) for seed in range(3) for method in ("none", "hkd")]


class Plain(nn.Module):
    """EDSR as BasicSR and EDSR-PyTorch write it, in PyTorch's default memory format."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        n = spec.n_feats
        self.head, self.last = nn.Conv2d(3, n, 3, padding=1), nn.Conv2d(n, n, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(n, n, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(n, n, 3, padding=1))
            for _ in range(spec.n_resblocks)
        )
        self.tail = nn.Sequential(
            nn.Conv2d(n, 4 * n, 3, padding=1), nn.PixelShuffle(2), nn.Conv2d(n, 3, 3, padding=1)
        )

    def forward(self, lr: Tensor) -> Tensor:
        """Map LR (N, 3, h, w) to SR."""
        head = x = self.head(lr)
        for block in self.blocks:
            x = x + block(x)
        sr: Tensor = self.tail(head + self.last(x))
        return sr


def learners_of(spec: ModelSpec, train: TrainSpec) -> list[Learner]:
    """Return six students on noise."""
    lr = torch.rand(8, 3, 8, 8)
    return [learner_of(name, spec, train, None, lr, seed) for name, seed in STUDENTS]


def compared(name: str, spec: ModelSpec, train: TrainSpec, limit: float | None, rounds: int) -> list[Row]:
    """Return how much faster a step of six students is when they are stacked."""
    alone = learners_of(spec, train.model_copy(update={"stacked": False}))
    stacked = learners_of(spec, train)
    stack = Stack(stacked)
    lr = torch.rand(train.batch, 3, train.patch, train.patch)
    hr = torch.rand(train.batch, 3, 2 * train.patch, 2 * train.patch)
    view = TeacherView(lambda images: Output(hr, {}), lr, hr)
    batches = dict.fromkeys((seed for _, seed in STUDENTS), Batch(lr, hr, view))
    plain = Plain(spec)
    optimizer = torch.optim.Adam(plain.parameters(), train.learning_rate)

    def one_by_one() -> None:
        for learner in alone:
            learner.advance(lr, hr, view)
        settle(*alone)

    def together() -> None:
        stack.advance(batches, dict.fromkeys(stacked))
        settle(*stacked)

    def as_basicsr() -> None:
        for _ in STUDENTS:
            optimizer.zero_grad()
            torch.autograd.backward(F.mse_loss(plain(lr), hr))
            optimizer.step()

    times = by_turns(rounds, alone=one_by_one, stacked=together, plain=as_basicsr)
    share = partial(ratio, b=times["stacked"])
    size = f"{spec.n_feats}×{spec.n_resblocks}, {train.batch} patches of {train.patch}×{train.patch}"
    note = f"{min(times['stacked']) / len(STUDENTS):.3g} s per student's step"
    return [
        Row(
            f"10. six students one by one / stacked, {name}: {size}",
            share(times["alone"]),
            "x",
            limit,
            True,
            note=note,
        ),
        Row(f"10. a plain NCHW EDSR with Adam / stacked, {name}", share(times["plain"]), "x", 1.0, True),
    ]


def rows(quick: bool) -> list[Row]:
    def train(patch: int) -> TrainSpec:
        return TrainSpec(batch=8, patch=patch, steps=1000, stacked=True)

    if quick:
        return compared("tiny", ModelSpec(n_feats=4, n_resblocks=2), train(6), None, 1)
    return [
        *compared("bsds", ModelSpec(n_feats=16, n_resblocks=8), train(12), 1.7, 40),
        *compared("smaller", ModelSpec(n_feats=8, n_resblocks=4), train(16), None, 40),
        *compared("demo", ModelSpec(n_feats=16, n_resblocks=4), train(24), None, 20),
    ]
