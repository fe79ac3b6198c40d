"""Compositions `a+b`: several methods in one training."""

from collections.abc import Mapping

import torch
from torch import nn

from srkd_bench.methods.base import Losses, Method, Step


class Composition(Method):
    """Several methods in one training: `rec` is added once, all other terms keep their weights."""

    kind = "composition"
    source = "the study's RKD+HKD, for any methods"

    def __init__(self, parts: Mapping[str, Method]) -> None:
        self.parts = dict(parts)
        self.taps = tuple(sorted({tap for part in parts.values() for tap in part.taps}))  # type: ignore[misc]
        self.looks = any(part.looks for part in parts.values())  # type: ignore[misc]
        self.fuses = any(part.fuses for part in parts.values())  # type: ignore[misc]
        needed = [need for part in parts.values() if part.looks for need in part.needs]
        self.needs = tuple(dict.fromkeys(needed))  # type: ignore[misc]
        resumed = (one for part in parts.values() for one in part.resumes)
        self.resumes = tuple(dict.fromkeys(resumed))  # type: ignore[misc]
        self.beside = tuple(term for part in parts.values() for term in part.beside)  # type: ignore[misc]
        reasons = [f"{name}: {part.never_zero}" for name, part in parts.items() if part.never_zero]
        self.never_zero = "; ".join(reasons)  # type: ignore[misc]
        self.stacks = all(part.stacks for part in parts.values())  # type: ignore[misc]
        self.min_batch = max(part.min_batch for part in parts.values())  # type: ignore[misc]
        self.min_patch = max(part.min_patch for part in parts.values())  # type: ignore[misc]

    def adapter(self, teacher: nn.Module | None, student: nn.Module, lr: torch.Tensor) -> nn.Module:
        """Return the parts' adapters, by name."""
        return nn.ModuleDict({name: part.adapter(teacher, student, lr) for name, part in self.parts.items()})

    def rates(self, adapter: nn.Module) -> list[tuple[nn.Module, float]]:
        """Return the parts' adapters, each with the factor on its learning rate."""
        parts = self.parts.items()
        return [pair for name, part in parts for pair in part.rates(adapter.get_submodule(name))]

    def after_step(self, adapter: nn.Module, student: nn.Module, done: int, steps: int) -> None:
        """Update the parts' adapters."""
        for name, part in self.parts.items():
            part.after_step(adapter.get_submodule(name), student, done, steps)

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return the first part's ground-truth term and all other terms of all parts."""
        terms: Losses = {}
        for name, part in self.parts.items():
            for term, loss in part.losses(step, adapter.get_submodule(name)).items():
                if term != "rec":
                    terms[term if term not in terms else f"{name}.{term}"] = loss
                else:
                    terms.setdefault("rec", loss)
        return terms
