"""What a method costs at the sizes of the suite `bsds`, for its page."""

from dataclasses import replace

from srkd_bench.config.network import FusionSpec, ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.methods import registry
from srkd_bench.methods.base import Method
from srkd_bench.networks.loading import build
from srkd_bench.training.contract.counting import Count, counted

TEACHER, STUDENT = (
    ModelSpec(n_feats=64, n_resblocks=16),
    ModelSpec(n_feats=16, n_resblocks=8),
)  # of suite bsds
TRAIN = TrainSpec(batch=8, patch=12, steps=100)


def cost(method: Method) -> Count:
    """Count a training step, the teacher's pass on the batch included."""
    spec = FusionSpec(fused=(TEACHER, TEACHER), n_feats=64, n_resblocks=8) if method.fuses else TEACHER
    student, teacher = (build(one, 1) for one in (STUDENT, spec))
    count = counted(method, student, teacher.requires_grad_(False).eval(), TRAIN, TRAIN.batch)
    own_pass = spec.multiply_adds * TRAIN.batch * TRAIN.patch**2 if method.looks else 0
    return replace(count, multiply_adds=count.multiply_adds + own_pass)


def where(method: type[Method]) -> str:
    """Return the networks whose cost is counted, in words."""
    teachers = f"a fusion of two teachers {TEACHER}" if method.fuses else f"teacher {TEACHER}"
    return f"{teachers}, student {STUDENT}; the sizes of the suite `bsds`"


def relative(method: Method) -> tuple[float, Count]:
    """Return how many times the multiply-adds of a step without distillation a step takes, and its cost."""
    own = cost(method)
    return own.multiply_adds / cost(registry.build("none", {})).multiply_adds, own
