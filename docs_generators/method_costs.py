"""Count what a method costs: multiply-adds of a training step, and weights beside the student."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from srkd_bench.config.network import FusionSpec, ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.methods import registry
from srkd_bench.methods.base import Method, TeacherView
from srkd_bench.networks.base import Output
from srkd_bench.networks.loading import build
from srkd_bench.training.contract.harness import Noise, learner_of
from srkd_bench.training.teacher import TeacherPass

TEACHER, STUDENT = (
    ModelSpec(n_feats=64, n_resblocks=16),
    ModelSpec(n_feats=16, n_resblocks=8),
)  # of suite bsds
TRAIN = TrainSpec(batch=8, patch=12, steps=100)


@dataclass(frozen=True)
class Cost:
    """What a training step of a method takes.

    Args:
        multiply_adds: of the step, passes of the teacher and of an encoder included; elementwise operations are not
            counted.
        weights: trained beside the student.
        other_images: whether student or teacher super-resolve other images than the batch's LR.
    """

    multiply_adds: int
    weights: int
    other_images: bool


def cost(method: Method) -> Cost:
    """Count the cost of a training step with the networks of the suite `bsds`."""
    spec = FusionSpec(fused=(TEACHER, TEACHER), n_feats=64, n_resblocks=8) if method.fuses else TEACHER
    teacher = build(spec, 1).requires_grad_(False).eval()
    lr, hr = Noise(TRAIN).batch(0)
    seen: list[Tensor] = []
    forward = TeacherPass(teacher, [method], TRAIN, lr.device)

    def look(images: Tensor) -> Output:
        seen.append(images)
        return forward(images)

    with TemporaryDirectory() as folder:
        learner = learner_of("none", method, teacher, Path(folder), TRAIN, STUDENT)
        with FlopCounterMode(display=False) as counter:
            learner.advance(lr, hr, TeacherView(look, lr, resume=forward.resume))
    weights = sum(weight.numel() for weight in learner.adapter.parameters() if weight.requires_grad)
    return Cost(counter.get_total_flops() // 2, weights, any(images is not lr for images in seen))


def where(method: type[Method]) -> str:
    """Return the networks whose cost is counted, in words."""
    teachers = f"a fusion of two teachers {TEACHER}" if method.fuses else f"teacher {TEACHER}"
    return f"{teachers}, student {STUDENT}; the sizes of the suite `bsds`"


def relative(method: Method) -> tuple[float, Cost]:
    """Return how many times the multiply-adds of a step without distillation a step takes, and its cost."""
    own = cost(method)
    return own.multiply_adds / cost(registry.build("none", {})).multiply_adds, own
