"""The executor protocol, and the table of executors."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from srkd_bench.core.errors import SrkdError
    from srkd_bench.core.progress import Display
    from srkd_bench.experiments.executors.scripts import Step
    from srkd_bench.experiments.planning.grid import Plans
    from srkd_bench.store.artifact_store import ArtifactStore
    from srkd_bench.store.workspace import RunOptions


class Executor(Protocol):
    """The function `execute` of a module: train and measure what a plan needs and the store lacks."""

    def __call__(
        self, plan: Plans, store: ArtifactStore, display: Display, options: RunOptions
    ) -> list[SrkdError]:
        """Execute the missing tasks and return the failures. A failed run does not stop the others.

        Raises:
            Stopped: a signal arrived; checkpoints are written.
            SrkdError: the plan cannot be executed here: data or a device is missing, or a disk is full.
        """


class ScriptWriter(Protocol):
    """The function `script` of a module: writes the text of a script that executes a plan elsewhere."""

    def __call__(self, steps: Sequence[Step], plan: Plans, at_once: int | None) -> str:
        """Return the script.

        Args:
            at_once: maximum number of groups that run in parallel; all if None.
        """


EXECUTORS = {"local": "processes", "ray": "ray"}
"""Module by name in `srkd run --executor`. `srkd tune` always uses `serial`, `srkd train-teacher` `torchrun`."""
SCRIPTS = {"shell": "shell", "slurm": "slurm"}
"""Module by name in `srkd plan --format`."""


def find_executor(name: str) -> Executor:
    """Return an executor by name; only its module is imported."""
    execute: Executor = import_module(f"{__package__}.{EXECUTORS[name]}").execute
    return execute


def find_script(name: str) -> ScriptWriter:
    """Return a script writer by name."""
    script: ScriptWriter = import_module(f"{__package__}.{SCRIPTS[name]}").script
    return script
