"""Conditions of `srkd report --fail-if`, such as `ckd.set5 < none.set5 - 0.05`.

Unlike claims, which rest on paired t tests over seeds, conditions compare means of any models, from one seed on.

A side is numbers and names with + or - between them, spaces around each; a name is `model.dataset` or
`model.dataset.metric`, since names may hold a + or - themselves (`rkd+hkd.photos-test`).
"""

import math
import operator
import re
from dataclasses import dataclass
from statistics import fmean

from srkd_bench.core.errors import MissingError, SrkdError, unknown
from srkd_bench.evaluation.results import Results

ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
NUMBER = re.compile(r"-?\d{1,9}(\.\d{1,9})?")
EXAMPLE = "for example --fail-if 'ckd.set5 < none.set5 - 0.05', with spaces around every sign"
Term = tuple[int, str | float]  # a sign, and a name or a number


@dataclass(frozen=True)
class Condition:
    """Two sums and the order that they are asked about."""

    text: str
    left: tuple[Term, ...]
    order: str
    right: tuple[Term, ...]


def parse(text: str) -> Condition:
    """Read a condition; `check_names` and `met` look up its names.

    Raises:
        SrkdError: it is not one.
    """
    words = re.sub("(<=|>=|<|>)", r" \1 ", text).split()
    orders = [word for word in words if word in ORDERS]
    if len(orders) != 1 or not text.isprintable():
        raise SrkdError(f"--fail-if takes a condition with one of {' '.join(ORDERS)}, not {text!r}", EXAMPLE)
    place = words.index(orders[0])
    left, right = _sum(words[:place], text), _sum(words[place + 1 :], text)
    return Condition(" ".join(words), left, orders[0], right)


def check_names(condition: Condition, results: Results) -> None:
    """Refuse a condition with a name that the report does not have.

    Raises:
        SrkdError: no such model, data set or metric.
    """
    for _, term in (*condition.left, *condition.right):
        if isinstance(term, str):
            _place(term, results)


def met(condition: Condition, results: Results) -> str:
    """Return the numbers in words if the condition is met, or an empty string.

    Raises:
        SrkdError: a name that the report has not.
        MissingError: scores that a name stands for are not all there.
    """
    left, right = _value(condition.left, results), _value(condition.right, results)
    if math.isnan(left) or math.isnan(right):
        raise SrkdError(f"'{condition.text}' is undefined: infinity minus infinity")
    if not ORDERS[condition.order](left, right):
        return ""
    return f"{condition.text}: {left:.4f} {condition.order} {right:.4f}"


def _sum(words: list[str], text: str) -> tuple[Term, ...]:
    """Return the terms of a side; every second word is a sign."""
    terms, signs = words[::2], words[1::2]
    if len(words) % 2 == 0 or not set(signs) <= {"+", "-"} or set(terms) & {"+", "-"}:
        raise SrkdError(f"--fail-if: '{' '.join(words)}' in {text!r} is not a sum", EXAMPLE)
    return tuple(
        (-1 if sign == "-" else 1, float(term) if NUMBER.fullmatch(term) else term)
        for sign, term in zip(["+", *signs], terms, strict=True)
    )


def _value(terms: tuple[Term, ...], results: Results) -> float:
    return sum(sign * (term if isinstance(term, float) else _mean(term, results)) for sign, term in terms)


def _place(name: str, results: Results) -> tuple[str, str, str]:
    """Return the model, data set and metric of a name."""
    parts = name.split(".")
    if len(parts) not in (2, 3):
        raise SrkdError(f"'{name}' is not a number, model.dataset or model.dataset.metric", EXAMPLE)
    model, dataset, metric = [*parts, *results.metrics[:1]][:3]
    for kind, part, known in (
        ("model", model, results.columns),
        ("data set", dataset, results.datasets),
        ("metric", metric, results.metrics),
    ):
        if part not in known:
            raise unknown(f"{kind} in '{name}'", part, known)
    return model, dataset, metric


def _mean(name: str, results: Results) -> float:
    """Return the mean over seeds of the mean over images, as the table has it."""
    model, dataset, metric = _place(name, results)
    means = results.seed_means(metric, model, dataset)
    coverage = results.coverage(metric, model, dataset)
    asked = {"seed": results.seeds, "teacher": results.teachers}
    lacking = {unit: sorted({*asked[unit]} - {*found}) for unit, (found, _) in coverage.items()}
    if not means or any(lacking.values()):
        words = [f"{unit} {', '.join(map(str, seeds))}" for unit, seeds in lacking.items() if seeds]
        some = f" of {' and '.join(words)}" if means else ""
        raise MissingError(f"'{name}' has no scores{some} yet", f"srkd run {results.suite}")
    return fmean(means.values())
