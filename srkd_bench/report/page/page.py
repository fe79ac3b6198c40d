"""Render the page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srkd_bench import __version__
from srkd_bench.config.metrics import METRICS, rules
from srkd_bench.evaluation.controls import is_control
from srkd_bench.evaluation.regions import Panel
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.statistics import Difference, differences
from srkd_bench.report.figures.registry import CAPTIONS
from srkd_bench.report.page.cards import cards
from srkd_bench.report.page.citations import bibtex
from srkd_bench.report.page.embedded import drawing, pictured, selection
from srkd_bench.report.page.findings import findings, listed
from srkd_bench.report.tables.claims import Verdict, because
from srkd_bench.report.tables.comparison import comparison
from srkd_bench.report.tables.costs import costs
from srkd_bench.report.tables.differences import bracketed, left_out_notes, signed
from srkd_bench.report.tables.gains import gains
from srkd_bench.report.tables.per_image import per_image
from srkd_bench.report.tables.table import MISSING, UNRANKED, Highlight, label, model_labels, one_line

if TYPE_CHECKING:
    from jinja2 import Template

PAGE = Path(__file__).parent / "assets"
SIGNS = {"better": "▲", "worse": "▼", "holds": "✓", "fails": "✗", "not significant": "○", "not measured": "·"}
"""Signs of the verdicts of comparisons and claims, for readers who do not see colours."""


def to_html(
    results: Results,
    panels: Sequence[Panel] = (),
    *,
    figures: Mapping[str, str] | None = None,
    verdicts: Sequence[Verdict] = (),
    reference: bool = False,
    highlight: Highlight = "printed",
) -> str:
    """Return the page as a single file, which loads nothing.

    Args:
        panels: regions of images as each model renders them.
        figures: `<svg>` elements by name: `forest-psnr_y`, …, `curves`.
    """
    names = model_labels(results)
    found = {metric: differences(results, metric) for metric in results.metrics}
    page = template("page.html.j2").render(
        _context(results) | assets() | {"signs": SIGNS, "captions": CAPTIONS},
        findings=findings(results, *next(iter(found.items()))),
        metrics=[_metric(results, metric, found[metric], reference, highlight) for metric in results.metrics],
        claims=[_claim(verdict, names) for verdict in verdicts],
        panels=[pictured(panel, names, results.baseline) for panel in panels],
        selection=selection(results.datasets, panels),
        figures={name: drawing(svg) for name, svg in (figures or {}).items()},
        next_table=partial(next, count(1)),
        next_figure=partial(next, count(1)),
    )
    return page.strip() + "\n"


def template(name: str) -> Template:
    """Return a template that escapes all texts; those that users named are on one printable line."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=lambda value: one_line(value) if type(value) is str else value,
    )  # fmt: skip
    return environment.get_template(name)


def assets() -> dict[str, str]:
    """Return the page's own style and script, and its Content-Security-Policy.

    The policy admits the style and the script by their checksums, images that are in the page, and nothing else.
    """
    from markupsafe import Markup

    style, script = ((PAGE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none';"
        f" style-src {_checksum(style)}; script-src {_checksum(script)}"
    )
    return {"style": Markup(style), "script": Markup(script), "policy": policy}


def _context(results: Results) -> dict[str, Any]:
    """Return what the template shows apart from metrics and images."""
    from markupsafe import Markup, escape

    names, made = model_labels(results), cards(results)
    return {
        "suite": results.suite,
        "control": names.get(results.baseline, results.baseline),
        "without_kd": results.baseline == "none",
        "controls": listed([names[model] for model in results.columns if is_control(model)]),
        "unranked": listed([names[model] for model in results.columns if model in UNRANKED]),
        "methods": [(names[name], one) for name, one in results.about.items() if name in names],
        "networks": {network.role: network for network in results.networks},
        "costs": costs(results),
        "datasets": [label(name) for name in results.datasets],
        "images": len({(score.dataset, score.image) for score in results.scores}),
        "seeds": results.seeds,
        "scale": results.scale,
        "budget": results.budget,
        "notes_of_results": results.notes,
        "protocols": {score.protocol: rules(score.protocol) for score in results.scores},
        "cards": made,
        "version": __version__,
        "bibtex": Markup("\n").join(escape(line) for line in bibtex(results, made.year).splitlines()),
    }


def _metric(
    results: Results, metric: str, found: Sequence[Difference], reference: bool, highlight: Highlight
) -> dict[str, Any]:
    known, names = METRICS[metric], model_labels(results)
    groups = [None, *results.datasets] if len(results.datasets) > 1 else []  # of one, gains say all
    rows = {on: [_difference(one, names) for one in found if one.dataset == on] for on in groups}
    return {
        "key": metric,
        "label": known.label,
        "unit": known.unit,
        "gains": gains(results, metric),
        "table": comparison(results, metric, reference=reference, highlight=highlight, general=False),
        "images": per_image(results, metric),
        "differences": {"All data sets" if on is None else label(on): own for on, own in rows.items() if own},
        "left_out": left_out_notes(results, [one for one in found if one.dataset]),
    }


def _difference(one: Difference, names: Mapping[str, str]) -> dict[str, Any]:
    decimals = METRICS[one.metric].decimals
    return {
        "model": f"{names[one.model]}{'*' * bool(one.left_out)}",
        "mean": signed(one.mean, decimals),
        "interval": bracketed(one.low, one.high, decimals),
        "new_images": bracketed(*one.new_images, decimals) if one.new_images else MISSING,
        "seeds": one.seeds,
        "images": one.images,
    }


def _claim(verdict: Verdict, names: dict[str, str]) -> dict[str, str]:
    return {"claim": verdict.claim, "verdict": verdict.verdict, "because": because(verdict, names)}


def _checksum(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
