"""Write training events for TensorBoard."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from srkd_bench.core.errors import SrkdError, install_hint
from srkd_bench.core.files import writable
from srkd_bench.evaluation.results import Training

SCALARS = ("learning_rate", "share", "seconds_a_step", "waiting", "validation")


def check() -> None:
    """Refuse to begin without TensorBoard.

    Raises:
        SrkdError: it is not installed.
    """
    if find_spec("tensorboard") is None:
        raise SrkdError("--tensorboard needs TensorBoard", install_hint("tensorboard"))


def write(trainings: Sequence[Training], folder: Path) -> None:
    """Write what events.jsonl holds, one TensorBoard run for each network: losses as `loss/TERM`, other scalars.

    Files of an earlier call are replaced.
    """
    from torch.utils.tensorboard import SummaryWriter

    for one in trainings:
        place = folder / one.title
        with writable(place):
            place.mkdir(parents=True, exist_ok=True)
            for old in place.glob("events.out.tfevents.*"):
                old.unlink()
            writer = SummaryWriter(str(place))
            for event in one.events:
                values = {f"loss/{name}": value for name, value in event.get("terms", {}).items()}
                values |= {name: event[name] for name in SCALARS if event.get(name) is not None}
                for name, value in values.items():
                    writer.add_scalar(name, value, event["step"])
            writer.close()
