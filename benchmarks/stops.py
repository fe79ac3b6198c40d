"""Host reads, operator calls and allocations of training steps.

A host read waits until the device has computed a value. They are counted on the CPU, where none of them takes time:
calls that return values to Python, or whose result's shape depends on values. Random numbers that were drawn from
a generator on the CPU are on the host on every device, so that reading them is not counted.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from benchmarks.measure import Row
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.methods import registry
from srkd_bench.methods.base import TeacherView
from srkd_bench.networks.architectures.edsr import EDSR
from srkd_bench.networks.loading import build
from srkd_bench.training.contract.harness import Noise, learner_of
from srkd_bench.training.contract.random_encoder import completed
from srkd_bench.training.learner import Learner
from srkd_bench.training.loop import fit
from srkd_bench.training.teacher import TeacherPass
from srkd_bench.training.transfers import settle

STUDENT, TEACHER = ModelSpec(n_feats=16, n_resblocks=4), ModelSpec(n_feats=32, n_resblocks=8)
TRAIN = TrainSpec(
    batch=4, patch=8, steps=6
)  # the numbers do not depend on sizes of images; each step is logged
CPU = torch.device("cpu")
# Operator calls of a step with PyTorch 2.13; the limit is a tenth above, since other versions call others.
CALLS = {
    "none": 105,
    "at": 276,
    "augkd": 456,
    "byot": 175,
    "ckd": 158,
    "crosskd": 133,
    "dckd": 397,
    "dml": 207,
    "fakd": 296,
    "fitnet": 125,
    "hkd": 112,
    "mipkd": 725,
    "mtkd": 112,
    "rkd": 186,
    "rkd+hkd": 193,
    "rvkd": 486,
}
BEFORE = {  # while each loss term was read when it was computed
    "none": 94,
    "at": 265,
    "byot": 164,
    "ckd": 147,
    "crosskd": 122,
    "dml": 196,
    "fakd": 285,
    "fitnet": 114,
    "hkd": 101,
    "rkd": 162,
    "rkd+hkd": 169,
    "rvkd": 475,
}
READS_BEFORE = 64  # of all methods side by side
READS = {
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "equal",
    "unique",
    "_unique2",
    "unique_consecutive",
}
READS_IN_PYTHON = {"tolist", "numpy", "__array__"}


@dataclass
class Count:
    """What happened in a number of steps."""

    reads: int = 0
    calls: int = 0
    allocations: int = 0


class _Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count operators, new storages, and reads that operators make."""

    def __init__(self, count: Count) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = count
        self.host = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.namespace != "aten":
            return result
        inputs, outputs = _tensors((args, kwargs)), _tensors(result)
        self.count.calls += 1
        known = {one.untyped_storage().data_ptr() for one in inputs}
        self.count.allocations += len({one.untyped_storage().data_ptr() for one in outputs} - known)
        drawn = isinstance((kwargs or {}).get("generator"), torch.Generator)
        if drawn or (inputs and all(one in self.host for one in inputs)):
            self.host.update(dict.fromkeys(outputs, True))
        else:
            self.count.reads += func.overloadpacket.__name__ in READS or _picks(func, args)
        return result


class _Python(TorchFunctionMode):
    """Count reads that call no operator."""

    def __init__(self, operators: _Operators) -> None:
        super().__init__()
        self.operators = operators

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in READS_IN_PYTHON and args[0] not in self.operators.host:
            self.operators.count.reads += 1
        return func(*args, **(kwargs or {}))


def _tensors(values: object) -> list[Tensor]:
    return [one for one in tree_leaves(values) if isinstance(one, Tensor)]


def _picks(func: Any, args: Any) -> bool:
    """Whether an operator takes elements by a Boolean mask, whose number only the device knows."""
    masks = [one for one in _tensors(args[1:2]) if one.dtype in (torch.bool, torch.uint8)]
    return func.overloadpacket.__name__ in ("index", "index_put", "index_put_") and bool(masks)


def counted(work: Callable[[], object]) -> Count:
    """Return what happens in a call."""
    operators = _Operators(Count())
    with _Python(operators), operators:
        work()
    return operators.count


def learners(names: list[str], teacher: EDSR, folder: Path) -> list[Learner]:
    """Return learners on noise."""
    return [
        learner_of(name, completed(registry.build(name, {})), teacher, folder / name, TRAIN, STUDENT)
        for name in names
    ]


def side_by_side(names: list[str]) -> Count:
    """Count a training of `TRAIN.steps` steps, all of them logged."""
    teacher = build(TEACHER, 1).requires_grad_(False).eval()
    with tempfile.TemporaryDirectory() as folder:
        group = learners(names, teacher, Path(folder))
        return counted(lambda: fit(group, teacher, Noise(TRAIN), device=CPU))


def alone(name: str) -> Count:
    """Count a method's step that is not logged, without the teacher's pass on the batch."""
    teacher = build(TEACHER, 1).requires_grad_(False).eval()
    lr, hr = Noise(TRAIN).batch(0)
    with tempfile.TemporaryDirectory() as folder:
        (learner,) = learners([name], teacher, Path(folder))
        forward = TeacherPass(teacher, [learner.method], TRAIN, CPU)
        view = TeacherView(forward, lr, resume=forward.resume)
        if learner.method.looks:
            assert view.sr is not None

        def step() -> None:
            learner.advance(lr, hr, view)
            settle(learner)

        step()  # creates the optimizer's state
        return counted(step)


def rows(quick: bool) -> list[Row]:
    names = ["none", "rkd"] if quick else list(CALLS)
    reads = side_by_side(names).reads / TRAIN.steps
    before = None if quick else READS_BEFORE
    found = [Row(f"9. host reads per step, {len(names)} methods side by side", reads, "", 1, before=before)]
    for name in names:
        count = alone(name)
        limit, note = 1.1 * CALLS[name], f"{count.reads} host read, {count.allocations} allocations"
        found.append(
            Row(
                f"9. operator calls per step, {name}",
                count.calls,
                "",
                limit,
                before=BEFORE.get(name),
                note=note,
            )
        )
    return found
