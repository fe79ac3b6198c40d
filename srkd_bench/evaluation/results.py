"""Results: the scores, networks and training logs that a report shows."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from statistics import fmean
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from srkd_bench.evaluation.scores import Score

Images = Mapping[str, float]
Runs = Mapping[int | None, Images]
"""One model's values on one data set: by unit (None for models without seeds), then by image."""
Unit = Literal["seed", "teacher"]
"""What a mean and its spread are over: trainings with different seeds, or teachers."""
Cell = tuple[int | None, int | None]
"""The seeds of a teacher and of a student; None where there is none, or none is stated."""
Cells = dict[Cell, dict[str, float]]
"""One model's values on one data set: by cell, then by image."""
Pairing = dict[int, list[tuple[Cell, Cell]]]
"""By unit, the cells of two models whose difference is taken, to be averaged."""


@dataclass(frozen=True)
class Network:
    """Size and cost of a network.

    Args:
        role: `teacher` or `student` of the comparison.
        description: such as `EDSR 256x32`.
        parameters: number of weights of the network as it is used, without modules that are only trained beside it.
        multiply_adds: of a forward pass, for an SR image of 1280x720 pixels.
    """

    role: Literal["teacher", "student"]
    description: str
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class About:
    """Description of a method for reports.

    Args:
        summary: what it does, in one line.
        kind: what is compared with the teacher: `none`, `response`, `relation`, `feature` or `composition`.
        source: authors, place and year.
    """

    summary: str
    kind: str
    source: str


@dataclass(frozen=True)
class Training:
    """How a network of the report was trained.

    Args:
        model, seed, teacher_seed: as in `Score`.
        events: in order of steps, as the loop logged them: `step`, `learning_rate`, `terms` by name, `share` (of
            the gradient: the distillation terms' against the ground truth's), in some `validation` (PSNR-Y in dB).
        card: versions, machine, command, `seconds`, when it was finished.
    """

    model: str
    seed: int | None
    events: list[dict[str, Any]]
    card: dict[str, Any]
    teacher_seed: int | None = None

    @property
    def seeds(self) -> str:
        """The seeds in words: `1`, or `1, teacher 2`; empty where there are none."""
        teacher = "" if self.teacher_seed is None else f"teacher {self.teacher_seed}"
        return ", ".join(filter(None, ["" if self.seed is None else str(self.seed), teacher]))

    @property
    def title(self) -> str:
        """Model and seeds: `hkd seed 1`, or `hkd seed 1, teacher 2`."""
        if self.seed is None:
            return self.model if self.teacher_seed is None else f"{self.model} seed {self.teacher_seed}"
        return f"{self.model} seed {self.seeds}"


@dataclass(frozen=True)
class Pairs:
    """Differences of two models on one data set.

    Args:
        unit: what is replicated. `seed`: students. `teacher`: where each teacher is crossed with the same student
            seeds; a teacher's differences are the means over these.
        units: the seeds that name the rows of `values`.
        values: (units, images).
        left_out: in words, the seeds, teachers and images that could not be paired.
        covers_teachers: whether the teacher varies from unit to unit, so that an interval holds for new teachers.
    """

    unit: Unit
    units: list[int]
    images: list[str]
    values: NDArray[np.float64]
    left_out: list[str]
    covers_teachers: bool = False

    def of_units(self, units: Iterable[int]) -> "Pairs":
        """Return the pairs of these units; the others are named in `left_out`."""
        kept = set(units)
        return replace(
            self,
            units=[unit for unit in self.units if unit in kept],
            values=self.values[[unit in kept for unit in self.units]],
            left_out=self.left_out + [f"{self.unit} {unit}" for unit in self.units if unit not in kept],
        )


@dataclass(frozen=True)
class Results:
    """All that a report says, and the order it says it in.

    Args:
        suite: the report's name.
        columns: models in order: `bicubic`, `teacher`, methods (`none`, `rkd+hkd`), weight files, image folders.
        datasets, metrics: rows and tables in order; metrics are keys of `config.metrics.METRICS`.
        scores: what was measured so far; columns or data sets without any are shown as missing.
        seeds: those asked for; a student that was measured on fewer is marked.
        teachers: seeds of the teachers asked for; empty for one teacher that the suite gives no seed.
        budget: how long each student is trained, in words: `1,500 steps of 8 patches of 24x24 LR pixels`.
        notes: whatever is partial or unusual: `hkd seed 2: not trained yet`, `self-ensemble`.
        baseline: the method that all others are compared with.
        trainings: of the networks that are finished; only where they were asked for.
        scale: how many times wider and higher SR is than LR; None where it is not known.
        about: methods by name.
        steps: training steps by column, where they are known.
        step_costs: by column, the multiply-adds of a training step over those of the student alone, where known.
    """

    suite: str
    columns: list[str]
    datasets: list[str]
    metrics: list[str]
    scores: list[Score] = field(default_factory=list)
    networks: list[Network] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    budget: str = ""
    notes: list[str] = field(default_factory=list)
    baseline: str = "none"
    trainings: list[Training] = field(default_factory=list)
    scale: int | None = None
    about: dict[str, About] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    step_costs: dict[str, float] = field(default_factory=dict)
    teachers: list[int] = field(default_factory=list)

    @cached_property
    def _cells(self) -> Mapping[tuple[str, str, str], Cells]:
        """The values by (metric, model, data set), by the seeds of teacher and student, by image."""
        found: dict[tuple[str, str, str], Cells] = {}
        for one in self.scores:
            cells = found.setdefault((one.metric, one.model, one.dataset), {})
            cells.setdefault((one.teacher_seed, one.seed), {})[one.image] = one.value
        return found

    @cached_property
    def crossed(self) -> bool:
        """Whether students of several teachers share their seeds: then the teacher is the unit of their means."""
        known = {cell for cells in self._cells.values() for cell in cells if None not in cell}
        teachers, seeds = _seeds_of(known)
        return len(teachers) > 1 and not len(teachers) == len(seeds) == len(known)

    def unit(self, model: str) -> Unit:
        """Return what a student's means and their spread are over."""
        own = (cells for (_, name, _), cells in self._cells.items() if name == model)
        return "teacher" if self.crossed and any(map(_has_teacher, own)) else "seed"

    def runs(self, metric: str, model: str, dataset: str) -> Runs:
        """Return the values of a model on a data set; empty if there are none.

        A unit is a seed; or a teacher, whose values are means over student seeds where these are crossed.
        """
        cells = self._cells.get((metric, model, dataset), {})
        if not (self.crossed and _has_teacher(cells)):
            return {teacher if seed is None else seed: images for (teacher, seed), images in cells.items()}
        teachers, seeds = _complete(cells)
        return {teacher: _mean([cells[teacher, seed] for seed in seeds]) for teacher in teachers}

    def coverage(self, metric: str, model: str, dataset: str) -> dict[Unit, tuple[list[int], list[int]]]:
        """Return the seeds and the teachers that a model's values are of, each with those of the whole report."""
        cells = self._cells.get((metric, model, dataset), {})
        crossed = self.crossed and _has_teacher(cells)
        teachers, seeds = _complete(cells) if crossed else _seeds_of(cells)
        asked = self._asked[metric] if cells else ([], [])
        own: dict[Unit, tuple[list[int], list[int]]] = {"seed": (seeds, asked[1])} if seeds else {}
        return own | ({"teacher": (teachers, asked[0])} if crossed or (teachers and not seeds) else {})

    @cached_property
    def _asked(self) -> Mapping[str, tuple[list[int], list[int]]]:
        """By metric, the seeds of teachers and those of students that were asked for or measured."""
        cells: dict[str, set[Cell]] = defaultdict(set)
        for (metric, _, _), own in self._cells.items():
            cells[metric] |= own.keys()
        wished = [(one, None) for one in self.teachers] + [(None, one) for one in self.seeds]
        return {metric: _seeds_of([*own, *wished]) for metric, own in cells.items()}

    def seed_means(self, metric: str, model: str, dataset: str) -> dict[int | None, float]:
        """Return the mean over images of each unit."""
        return {unit: fmean(images.values()) for unit, images in self.runs(metric, model, dataset).items()}

    def means(self, metric: str, model: str) -> dict[str, float]:
        """Return by data set the mean over units of the means over images, as tables print it."""
        found = {dataset: self.seed_means(metric, model, dataset) for dataset in self.datasets}
        return {dataset: fmean(of_units.values()) for dataset, of_units in found.items() if of_units}

    def image_means(self, metric: str, model: str, dataset: str) -> dict[str, float]:
        """Return the mean over units of each image."""
        values: dict[str, list[float]] = defaultdict(list)
        for images in self.runs(metric, model, dataset).values():
            for image, value in images.items():
                values[image].append(value)
        return {image: fmean(own) for image, own in values.items()}

    def pairs(
        self, metric: str, model: str, baseline: str, dataset: str, others: "Results | None" = None
    ) -> Pairs:
        """Return a model's differences from the baseline, paired by seed or teacher, and by image.

        Only what both were trained with counts: each seed or, where teachers are crossed with seeds, the teachers
        and seeds of which every combination is there. Of images, only those that are finite in all of these runs.
        Models without seeds have no pairs.

        Args:
            others: the results that the baseline belongs to; these if not given.
        """
        rest = others or self
        ours, theirs = self._students(metric, model, dataset), rest._students(metric, baseline, dataset)
        crossed = (self.crossed or rest.crossed) and (_has_teacher(ours) or _has_teacher(theirs))
        units, lost = (_by_teacher if crossed else _by_seed)(ours, theirs)
        pairs = {unit: [(ours[one], theirs[other]) for one, other in own] for unit, own in units.items()}
        shared = [images for own in pairs.values() for pair in own for images in pair]
        every = sorted(set[str]().union(*shared))
        kept = [image for image in every if all(math.isfinite(one.get(image, math.nan)) for one in shared)]
        lost += [f"image {image}" for image in every if image not in set(kept)]
        values = [
            [[one[image] - other[image] for image in kept] for one, other in own] for own in pairs.values()
        ]
        shape = len(pairs), max(map(len, pairs.values()), default=1), len(kept)
        means = np.array(values, dtype=np.float64).reshape(shape).mean(axis=1)
        teachers, _ = _seeds_of(cell for own in units.values() for pair in own for cell in pair)
        return Pairs("teacher" if crossed else "seed", list(units), kept, means, lost, len(teachers) > 1)

    def _students(self, metric: str, model: str, dataset: str) -> Cells:
        """Return the values of a model's trainings; those of models without seeds are left out."""
        cells = self._cells.get((metric, model, dataset), {})
        return {cell: images for cell, images in cells.items() if cell[1] is not None}

    def image_gains(self, metric: str, model: str, baseline: str, dataset: str) -> dict[str, float]:
        """Return how much each image gains: its mean difference over the units."""
        pairs = self.pairs(metric, model, baseline, dataset)
        return dict(zip(pairs.images, pairs.values.mean(axis=0).tolist(), strict=True)) if pairs.units else {}


def _has_teacher(cells: Iterable[Cell]) -> bool:
    return any(None not in cell for cell in cells)


def _seeds_of(cells: Iterable[Cell]) -> tuple[list[int], list[int]]:
    """Return the seeds of teachers and those of students."""
    teachers, seeds = set[int](), set[int]()
    for teacher, seed in cells:
        teachers |= set() if teacher is None else {teacher}
        seeds |= set() if seed is None else {seed}
    return sorted(teachers), sorted(seeds)


def _complete(cells: Iterable[Cell]) -> tuple[list[int], list[int]]:
    """Return teachers and seeds of which every combination is among the cells.

    What lacks the largest share is left out until nothing is lacking; of equals a seed, as teachers are the units.
    """
    known = {cell for cell in cells if None not in cell}
    teachers, seeds = _seeds_of(known)
    while missing := [cell for cell in product(teachers, seeds) if cell not in known]:
        shares = [(sum(one == t for t, _ in missing) / len(seeds), 0, one) for one in teachers]
        shares += [(sum(one == s for _, s in missing) / len(teachers), 1, one) for one in seeds]
        _, is_seed, worst = max(shares)
        (seeds if is_seed else teachers).remove(worst)
    return teachers, seeds


def _by_seed(ours: Iterable[Cell], theirs: Iterable[Cell]) -> tuple[Pairing, list[str]]:
    """Return the cells of each seed that both have, and in words the seeds that one of them has."""
    one, other = (
        {seed: (teacher, seed) for teacher, seed in cells if seed is not None} for cells in (ours, theirs)
    )
    lost = [f"seed {seed}" for seed in sorted(one.keys() ^ other.keys())]
    return {seed: [(one[seed], other[seed])] for seed in sorted(one.keys() & other.keys())}, lost


def _by_teacher(ours: Collection[Cell], theirs: Collection[Cell]) -> tuple[Pairing, list[str]]:
    """Return the cells of each teacher, one pair a seed, and in words the teachers and seeds that are incomplete.

    A model without teacher has the same cell beside every teacher.
    """
    every, seeds = _seeds_of([*ours, *theirs])
    both: dict[Cell, tuple[Cell, Cell]] = {}
    for cell in product(every, seeds):
        one, other = (cell if cell in cells else (None, cell[1]) for cells in (ours, theirs))
        if one in ours and other in theirs:
            both[cell] = one, other
    kept, shared = _complete(both)
    lost = [f"teacher {one}" for one in every if one not in kept]
    lost += [f"seed {one}" for one in seeds if one not in shared]
    return {teacher: [both[teacher, seed] for seed in shared] for teacher in kept}, lost


def _mean(runs: Sequence[Images]) -> Images:
    """Return the mean over runs of each image that all of them have."""
    shared = [image for image in runs[0] if all(image in one for one in runs)]
    return {image: fmean(one[image] for one in runs) for image in shared}
