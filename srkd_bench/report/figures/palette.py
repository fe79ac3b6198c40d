"""Colours and markers of models."""

from collections.abc import Iterable
from dataclasses import dataclass

INK = "#000000"  # what is neither a method nor a picture; web pages show it in their text's colour


@dataclass(frozen=True)
class Look:
    """How a model is drawn; no two of the first eleven are alike in colour, nor in marker.

    Args:
        colour: `#rrggbb`, readable on white and on black.
        marker: a marker of matplotlib's.
    """

    colour: str
    marker: str


# The colours are Okabe and Ito's (2008), which are safe for the colour-blind; their yellow is too pale for lines.
KNOWN = {
    "bicubic": Look("#9a9a9a", "x"),
    "teacher": Look("#0072b2", "*"),
    "none": Look("#7a7a7a", "o"),
    "hkd": Look("#e69f00", "s"),
    "ckd": Look("#56b4e9", "^"),
    "rkd": Look("#009e73", "D"),
    "rvkd": Look("#d55e00", "v"),
    "rkd+hkd": Look("#cc79a7", "P"),
}
# For everything else, in the report's order; of Paul Tol's muted scheme.
OTHERS = (Look("#999933", "h"), Look("#aa4499", "<"), Look("#44aa99", ">"))


def palette(models: Iterable[str]) -> dict[str, Look]:
    """Return the look of each of a report's models; those that are not known take the others' in turn."""
    models = list(dict.fromkeys(models))
    strangers = [model for model in models if model not in KNOWN]
    return {
        model: KNOWN[model] if model in KNOWN else OTHERS[strangers.index(model) % len(OTHERS)]
        for model in models
    }
