"""The method under test, and violations of the contract."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from srkd_bench.core.errors import SrkdError
from srkd_bench.methods import composition, encoders, registry, sources
from srkd_bench.methods.base import Losses, Method
from srkd_bench.training.contract.harness import TRAIN, Lesson, lesson
from srkd_bench.training.contract.random_encoder import completed
from srkd_bench.training.contract.source_lines import Files


class Broken(Exception):
    """A violation of the contract.

    Args:
        place: file and line to fix, with the line's text; empty if unknown.
        hint: what to do.
    """

    def __init__(self, problem: str, place: str = "", hint: str = "") -> None:
        super().__init__(f"{problem} [{place}] {hint}")
        self.problem, self.place, self.hint = problem, place, hint


@dataclass(frozen=True)
class Subject:
    """The method under test.

    Args:
        random: keys of required parameters for which a random encoder stands in.
    """

    name: str
    method: Method
    files: Files
    random: tuple[str, ...] = ()

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Report an error in the method's code with its line."""
        try:
            yield
        except Broken:
            raise
        except SrkdError as error:
            raise Broken(error.message, self.files.of_error(error), error.hint) from None
        except Exception as error:
            problem = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            channels = (
                "student and teacher have other numbers of channels; let the adapter bring them together"
            )
            hint = channels if " size" in problem else ""
            raise Broken(problem, self.files.of_error(error), hint) from error

    def lesson(self, **how: Any) -> Lesson:
        """Prepare its first step; see `lesson`."""
        with self.telling():
            return lesson(self.method, **how)

    def losses(self, one: Lesson) -> Losses:
        """Return the terms of a step."""
        with self.telling():
            return one.losses()

    def after_step(self, one: Lesson) -> None:
        """Call the method's function of that name, as after the first step of a training."""
        with self.telling(), torch.no_grad():
            self.method.after_step(one.adapter, one.student, 1, TRAIN.steps)

    def check_encoders(self) -> None:
        """Check that the method can use its encoders on SRs of the checks' size, which is 16×16."""
        for file, part in registry.encoders(self.method):
            with self.telling():
                images = torch.zeros(self.batch, 3, 16, 16)
                part.check_features(encoders.load(file, images.device).check(images))

    def check_separate(self, one: Lesson, function: str) -> None:
        """Check that the adapter shares no weights with a network, after a function that might have stored them.

        Raises:
            Broken: it does.
        """
        for who, network in (("student", one.student), ("teacher", one.teacher)):
            stored = {value.untyped_storage().data_ptr() for value in network.state_dict().values()}
            for name, value in one.adapter.state_dict().items():
                if value.numel() and value.untyped_storage().data_ptr() in stored:
                    problem = f"the adapter's '{name}' is a weight of the {who}"
                    raise Broken(problem, self.files.of_function(function, who), "use a copy: copy.deepcopy")

    @property
    def batch(self) -> int:
        """The batch size of its steps."""
        return max(4, self.method.min_batch)


def subject(reference: str, params: Mapping[str, Mapping[str, Any]] | None = None) -> Subject:
    """Return a method by its name, its file or `package.module:Class`, ready for the checks.

    A required encoder that `params` does not have is a random one.
    """
    given = registry.build(reference, params or {})
    method, name = completed(given), sources.name_of(reference)
    parts = method.parts.values() if isinstance(method, composition.Composition) else [method]
    paths = [str(sys.modules[type(part).__module__].__file__) for part in parts]
    return Subject(name, method, Files(tuple(paths)), tuple(registry.lacking(given, name)))
