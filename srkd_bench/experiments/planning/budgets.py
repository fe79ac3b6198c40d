"""The budgets of control columns, and what a training step of a method costs."""

from collections.abc import Iterable

from pydantic import TypeAdapter, ValidationError

from srkd_bench.config.base import Rate
from srkd_bench.config.messages import problem
from srkd_bench.config.network import NetworkSpec
from srkd_bench.config.suite import Suite
from srkd_bench.config.suite_file import validated
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import SrkdError, unknown
from srkd_bench.evaluation.controls import EQUAL_COST, control_label, is_control, times
from srkd_bench.experiments.planning.trials import RATE

CONTROL = "The control, trained for as many steps as cost the multiply-adds of a distillation."


def control_trainings(
    suite: Suite, columns: Iterable[str], teacher: NetworkSpec, share: float | None = 1.0
) -> dict[str, TrainSpec]:
    """Return how the control columns among these are trained, by name; no two have the same number of steps.

    Args:
        teacher: whose forward passes count for `none@equal-cost`.
        share: of these passes that a distillation pays for; all if None.
    Raises:
        SrkdError: a learning rate out of bounds, another parameter, or columns that are trained equally long.
    """
    rates = {name: _rate(suite, name) for name in (*columns, *suite.params) if is_control(name)}
    found: dict[str, TrainSpec] = {}
    taken = {suite.train.steps: "none"}
    for name in filter(is_control, columns):
        factor = times(name) or step_cost(suite.student, teacher, 1.0 if share is None else share)
        train = _longer(suite.train, factor, name).model_copy(update={RATE: rates[name]})
        if (other := taken.setdefault(train.steps, name)) != name:
            raise SrkdError(f"{name} is trained for {train.steps:,} steps, as {other} is", "name one of them")
        found[name] = train
    return found


def step_cost(student: NetworkSpec, teacher: NetworkSpec, share: float = 1.0) -> float:
    """Return what a step of a distillation costs over a step of the student alone, in multiply-adds.

    A student's step is a forward pass and a backward pass of about twice its cost; a distillation adds a forward
    pass of the teacher. The method's other computations and the optimizer are not counted.

    Args:
        share: of the teacher's passes that a distillation pays for; below 1 where labels replace them.
    """
    return 1 + share * teacher.multiply_adds / (3 * student.multiply_adds)


def summary(control: str) -> str:
    """Return in one line what a control column is."""
    if control == EQUAL_COST:
        return CONTROL
    return f"The control, trained for {times(control):g} times as many steps."


def note(control: str, train: TrainSpec, *, rate: bool, share: float | None) -> str:
    """Return how long a control was trained, and at which learning rate where that is known.

    Args:
        share: of the teacher's passes that a distillation pays for.
    """
    at = f" at a learning rate of {train.learning_rate:g}" if rate else ""
    passes = "its teacher's passes" if share == 1 else "its share of the teacher labels"
    equal = f"; a student and {passes} take as many multiply-adds"
    return f"{control_label(control)}: {train.steps:,} steps{at}{equal if control == EQUAL_COST else ''}"


def _longer(train: TrainSpec, factor: float, name: str) -> TrainSpec:
    """Return a training with a multiple of the steps, whose learning rate follows the same course.

    Raises:
        SrkdError: these are more than a training can have.
    """
    steps: dict[str, object] = {
        "steps": round(factor * train.steps),
        "restarts": [round(factor * one) for one in train.restarts],
        "milestones": [round(factor * one) for one in train.milestones],
    }
    if train.schedule == "step" and not train.milestones:
        steps["decay_every"] = round(factor * train.decay_every)
    return validated(TrainSpec, train.model_dump() | steps, name)


def _rate(suite: Suite, name: str) -> float:
    """Return the learning rate that a suite gives to a control."""
    given = suite.params.get(name, {})
    for key in given:
        if key != RATE:
            raise unknown(f"parameter of {name}", key, [RATE])
    try:
        rate: float = TypeAdapter(Rate).validate_python(
            given.get(RATE, suite.train.learning_rate), strict=True
        )
    except ValidationError as error:
        reason = problem(error.errors(include_url=False)[0])
        raise SrkdError(f"params.{name}.{RATE}: {reason}") from None
    return rate
