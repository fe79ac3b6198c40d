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
from srkd_bench.evaluation.regions import Panel
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import EQUAL_COST
from srkd_bench.evaluation.statistics import Difference, differences
from srkd_bench.report import study
from srkd_bench.report.page.cards import cards
from srkd_bench.report.page.embedded import drawing, pictured
from srkd_bench.report.page.findings import findings, interval
from srkd_bench.report.tables.claims import Verdict, because
from srkd_bench.report.tables.comparison import comparison
from srkd_bench.report.tables.costs import costs
from srkd_bench.report.tables.differences import probability, signed
from srkd_bench.report.tables.per_image import per_image
from srkd_bench.report.tables.table import MISSING, Highlight, label, model_labels, one_line

if TYPE_CHECKING:
    from markupsafe import Markup


PAGE = Path(__file__).parent / "assets"
VERDICTS = {
    "better": ("▲", "better"),
    "worse": ("▼", "worse"),
    "undecided": ("○", "not significant"),
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
    """Return the page, which is self-contained and works offline.

    Args:
        panels: regions of images as every model shows them.
        figures: `<svg>` elements by name: `forest-psnr_y`, …, `curves`.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        # Texts, some of them named by strangers, are on one printable line.
        lstrip_blocks=True, finalize=lambda value: one_line(value) if type(value) is str else value,
    )  # fmt: skip
    names = model_labels(results)
    found = {metric: differences(results, metric) for metric in results.metrics}
    page = environment.get_template("page.html.j2").render(
        _context(results) | _assets(),
        findings=findings(results, *next(iter(found.items()))),
        metrics=[_metric(results, metric, found[metric], reference, highlight) for metric in results.metrics],
        claims=[_claim(verdict, names) for verdict in verdicts],
        panels=[pictured(panel, names, results.baseline) for panel in panels],
        figures={name: drawing(svg) for name, svg in (figures or {}).items()},
        next_table=partial(next, count(1)),
        next_figure=partial(next, count(1)),
    )
    return page.strip() + "\n"


def _assets() -> dict[str, str]:
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
    """Return what the template says that is neither of one metric nor a picture."""
    names, made, about = model_labels(results), cards(results), results.about.values()
    return {
        "suite": results.suite,
        "control": names.get(results.baseline, results.baseline),
        "without_kd": results.baseline == "none",
        "longer": names.get(EQUAL_COST),
        "methods": [(names[name], one) for name, one in results.about.items() if name in names],
        "networks": {network.role: network for network in results.networks},
        "costs": costs(results),
        "datasets": [label(name) for name in results.datasets],
        "images": len({(score.dataset, score.image) for score in results.scores}),
        "seeds": results.seeds,
        "intervals": ", with 95 % intervals" if len(results.seeds) > 1 else "",
        "scale": results.scale,
        "budget": results.budget,
        "notes": results.notes,
        "protocols": {score.protocol: rules(score.protocol) for score in results.scores},
        "cards": made,
        "sources": list({one.source: None for one in about if one.source and one.kind != "composition"}),
        "study": study.SOURCE,
        "version": __version__,
        "bibtex": _bibtex(made.year),
    }


def _metric(
    results: Results, metric: str, found: Sequence[Difference], reference: bool, highlight: Highlight
) -> dict[str, Any]:
    known, names = METRICS[metric], model_labels(results)
    groups = [None, *results.datasets] if len(results.datasets) > 1 else results.datasets
    rows = {on: [_difference(one, names) for one in found if one.dataset == on] for on in groups}
    return {
        "key": metric,
        "label": known.label,
        "unit": known.unit,
        "table": comparison(results, metric, reference=reference, highlight=highlight, general=False),
        "images": per_image(results, metric),
        "differences": {"All data sets" if on is None else label(on): own for on, own in rows.items() if own},
    }


def _difference(one: Difference, names: Mapping[str, str]) -> dict[str, Any]:
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
    shown = {"claim": verdict.claim, "verdict": verdict.verdict, "sign": sign, "words": words}
    return shown | {"because": because(verdict, names)}


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
