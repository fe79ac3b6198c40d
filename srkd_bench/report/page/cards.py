"""Summarise how the networks were trained."""

from dataclasses import dataclass

from srkd_bench.evaluation.results import Results
from srkd_bench.report.tables.table import MISSING, model_labels

FACTS = {
    "srkd": "srkd",
    "python": "Python",
    "torch": "PyTorch",
    "machine": "Machine",
    "device": "Device",
    "command": "Command",
}
"""Entries of a card that most trainings of a report share, with their labels."""


@dataclass(frozen=True)
class Cards:
    """How the networks were trained.

    Args:
        facts: all values of each entry, by label; more than one where trainings differ.
        header, rows: a row for each training.
        year: of the last training; empty if none is known.
    """

    facts: dict[str, list[str]]
    header: list[str]
    rows: list[list[str]]
    year: str


def cards(results: Results) -> Cards:
    """Return the cards of the report's trainings."""
    names = model_labels(results)
    cards = [training.card for training in results.trainings]
    facts = {
        label: list({str(one[key]): None for one in cards if key in one}) for key, label in FACTS.items()
    }
    rows = [
        [
            names.get(training.model, training.model),
            training.seeds or MISSING,
            str(training.card.get("finished", MISSING))[:16].replace("T", " "),
            _time(training.card.get("seconds")),
        ]
        for training in results.trainings
    ]
    years = sorted(str(one["finished"])[:4] for one in cards if one.get("finished"))
    return Cards(
        facts={label: values for label, values in facts.items() if values},
        header=["Network", "Seed", "Finished (UTC)", "Time of the group"],
        rows=rows,
        year=years[-1] if years else "",
    )


def _time(seconds: object) -> str:
    if not isinstance(seconds, int | float):
        return MISSING
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"
