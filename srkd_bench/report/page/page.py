"""The page: all of a report in one file that needs no network, no script and no knowledge of the study."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srkd_bench import __version__
from srkd_bench.evaluation import statistics
from srkd_bench.evaluation.metrics import METRICS, PROTOCOLS
from srkd_bench.evaluation.regions import Panel
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import EQUAL_COST
from srkd_bench.report import study
from srkd_bench.report.page.cards import cards
from srkd_bench.report.page.embedded import drawing, pictured
from srkd_bench.report.page.findings import findings, interval
from srkd_bench.report.tables.claims import Verdict, because
from srkd_bench.report.tables.comparison import comparison
from srkd_bench.report.tables.costs import costs
from srkd_bench.report.tables.differences import probability, signed
from srkd_bench.report.tables.per_image import per_image
from srkd_bench.report.tables.table import MISSING, Highlight, Table, label, model_labels, one_line

if TYPE_CHECKING:
    from markupsafe import Markup


PAGE = Path(__file__).parent / "assets"
VERDICTS = {
    "better": ("▲", "better"),
    "worse": ("▼", "worse"),
    "undecided": ("○", "not told apart"),
    "underpowered": ("·", "too few seeds"),
}
ANSWERS = {
    "holds": ("✓", "holds"),
    "fails": ("✗", "does not hold"),
    "undecided": ("○", "not decided"),
    "underpowered": ("·", "too few seeds"),
}


def to_html(
    results: Results,
    panels: Sequence[Panel] = (),
    *,
    figures: Mapping[str, str] | None = None,
    verdicts: Sequence[Verdict] = (),
    reference: bool = False,
    highlight: Highlight = "printed",
) -> str:
    """Return the page.

    It opens no connection, and says so to the browser: its policy admits this page's own style and script by
    their checksums, images that are in the page, and nothing else.

    Args:
        panels: regions of images as every model shows them.
        figures: `<svg>` elements by name: `forest-psnr_y`, …, `curves`.
        verdicts: on claims.
        reference: show the study's numbers too.
        highlight: what the best and the second go by, see `comparison`.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    style, script = ((PAGE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    found = {metric: statistics.differences(results, metric) for metric in results.metrics}
    first = results.metrics[0]
    page = environment.get_template("page.html.j2").render(
        _context(results),
        findings=findings(results, first, found[first]),
        metrics=[_metric(results, metric, found[metric], reference, highlight) for metric in results.metrics],
        claims=[_claim(verdict, model_labels(results)) for verdict in verdicts],
        panels=[pictured(panel, model_labels(results), results.baseline) for panel in panels],
        figures={name: drawing(svg) for name, svg in (figures or {}).items()},
        style=Markup(style),  # a file of this package
        script=Markup(script),
        policy=_policy(style, script),
        next_table=partial(next, count(1)),
        next_figure=partial(next, count(1)),
    )
    return page.strip() + "\n"


def _context(results: Results) -> dict[str, Any]:
    """Return what the template says that is neither of one metric nor a picture."""
    names = model_labels(results)
    made = cards(results)
    return {
        "suite": results.suite,
        "control": names.get(results.baseline, results.baseline),
        "without_kd": results.baseline == "none",
        "longer": names.get(EQUAL_COST),
        "methods": [(names[name], about) for name, about in results.about.items() if name in names],
        "networks": {network.role: network for network in results.networks},
        "costs": costs(results),
        "datasets": [label(name) for name in results.datasets],
        "images": len({(score.dataset, score.image) for score in results.scores}),
        "seeds": results.seeds,
        "intervals": ", with 95 % intervals" if len(results.seeds) > 1 else "",
        "scale": results.scale,
        "budget": results.budget,
        "notes": results.notes,
        "protocols": {
            name: PROTOCOLS.get(name, "rules of another version")
            for name in dict.fromkeys(score.protocol for score in results.scores)
        },
        "cards": made,
        "sources": list(
            dict.fromkeys(
                one.source for one in results.about.values() if one.source and one.kind != "composition"
            )
        ),
        "study": study.SOURCE,
        "version": __version__,
        "bibtex": _bibtex(made.year),
    }


def _metric(
    results: Results,
    metric: str,
    found: Sequence[statistics.Difference],
    reference: bool,
    highlight: Highlight,
) -> dict[str, Any]:
    known = METRICS[metric]
    table = comparison(results, metric, reference=reference, highlight=highlight)
    groups = [None, *results.datasets] if len(results.datasets) > 1 else results.datasets
    return {
        "key": metric,
        "label": known.label,
        "unit": known.unit,
        "table": table,
        "footnotes": _own_footnotes(table, results),
        "images": per_image(results, metric),
        "differences": {
            "All data sets" if dataset is None else label(dataset): [
                _difference(one, model_labels(results)) for one in found if one.dataset == dataset
            ]
            for dataset in groups
            if any(one.dataset == dataset for one in found)
        },
    }


def _difference(one: statistics.Difference, names: Mapping[str, str]) -> dict[str, Any]:
    decimals = METRICS[one.metric].decimals
    sign, words = VERDICTS[one.verdict]
    return {
        "model": names[one.model],
        "mean": signed(one.mean, decimals),
        "interval": interval(one, decimals) or MISSING,
        "p": probability(one.p),
        "p_holm": probability(one.p_holm),
        "seeds": one.seeds,
        "images": one.images,
        "verdict": one.verdict,
        "sign": sign,
        "words": words,
        "left_out": ", ".join(one.left_out),
    }


def _claim(verdict: Verdict, names: dict[str, str]) -> dict[str, str]:
    sign, words = ANSWERS[verdict.verdict]
    return {
        "claim": verdict.claim,
        "verdict": verdict.verdict,
        "sign": sign,
        "words": words,
        "because": because(verdict, names),
    }


def _own_footnotes(table: Table, results: Results) -> list[str]:
    """Return a table's footnotes without what has its own place on the page."""
    elsewhere = {one_line(note) for note in results.notes}
    return [
        note
        for note in table.footnotes
        if note not in elsewhere and not note.startswith((f"Protocol {table.protocol}:", "Budget: "))
    ]


def _policy(style: str, script: str) -> str:
    """Return the page's Content-Security-Policy."""
    return (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none';"
        f" style-src {_checksum(style)}; script-src {_checksum(script)}"
    )


def _checksum(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _bibtex(year: str) -> Markup:
    from markupsafe import Markup, escape

    lines = [
        "@software{srkd,",
        "  title   = {srkd: a benchmark of knowledge distillation for super-resolution},",
        f"  version = {{{__version__}}},",
        *([f"  year    = {{{year}}},"] if year.isdigit() else []),
        "}",
    ]
    return Markup("\n").join(escape(line) for line in lines)


def _shown(value: object) -> object:
    """Return what is written for a value: texts, some of them named by strangers, on one printable line."""
    return one_line(value) if type(value) is str else value
