"""The method under test, and violations of the contract."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from srkd_bench.core.errors import SrkdError
from srkd_bench.methods import composition, registry, sources
from srkd_bench.methods.base import Losses, Method
from srkd_bench.training.contract.harness import Lesson, lesson
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
    """The method under test."""

    name: str
    method: Method
    files: Files

    @contextmanager
    def telling(self, hint: str = "") -> Iterator[None]:
        """Report an error in the method's code with its line."""
        try:
            yield
        except Broken:
            raise
        except SrkdError as error:
            raise Broken(error.message, self.files.of_error(error), hint or error.hint) from None
        except Exception as error:
            problem = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            if " size" in problem and not hint:
                hint = (
                    "student and teacher have other numbers of channels; let the adapter bring them together"
                )
            raise Broken(problem, self.files.of_error(error), hint) from error

    def lesson(self, **how: Any) -> Lesson:
        """Prepare its first step; see `lesson`."""
        with self.telling():
            return lesson(self.method, **how)

    def losses(self, one: Lesson) -> Losses:
        """Return the terms of a step."""
        with self.telling():
            return one.losses()

    @property
    def batch(self) -> int:
        """The batch size of its steps."""
        return max(4, self.method.min_batch)


def subject(reference: str, params: Mapping[str, Mapping[str, Any]] | None = None) -> Subject:
    """Return a method by its name, its file or `package.module:Class`, ready for the checks."""
    method = registry.build(reference, params or {})
    parts = method.parts.values() if isinstance(method, composition.Composition) else [method]
    paths = [str(sys.modules[type(part).__module__].__file__) for part in parts]
    return Subject(sources.name_of(reference), method, Files(tuple(paths)))
