"""Published PSNR-Y, to show beside a suite's own results."""

from collections.abc import Mapping
from dataclasses import dataclass

from srkd_bench.config.metrics import METRICS
from srkd_bench.data.catalog import DATASETS, base
from srkd_bench.evaluation.results import Results
from srkd_bench.report import study
from srkd_bench.report.tables.table import Cell, Table, capitals, label, one_line


@dataclass(frozen=True)
class Published:
    """A published table of PSNR-Y, one run each.

    Args:
        name: marks its rows.
        source: where it is from, and at which scale.
        columns: models, as srkd names them.
        psnr_y: dB, by data set, in the order of `columns`.
        decimals: as printed in the source.
        caution: what to know before comparing with it; may be empty.
    """

    name: str
    source: str
    columns: tuple[str, ...]
    psnr_y: Mapping[str, tuple[float, ...]]
    decimals: int
    caution: str = ""

    def of(self, dataset: str) -> dict[str, float]:
        """Return the numbers on a data set, in any known copy, by model; none on others."""
        values = self.psnr_y.get(base(dataset)) if dataset in DATASETS else None
        return {} if values is None else dict(zip(self.columns, values, strict=True))


STUDY = Published(
    name="study",
    source=f"{study.SOURCE}, x2, one run each",
    columns=study.COLUMNS,
    psnr_y=study.PSNR_Y_X2,
    decimals=METRICS["psnr_y"].decimals,
)
_DCKD = "Zhou et al., AAAI 2025 (DCKD), Table 2, {}, x{}, one run each; HKD is its row Logits"
_SETS = ("set5", "set14", "bsd100", "urban100")
_CAUTION = (
    "FAKD: a public re-implementation sums its losses through torch.tensor, so that its feature loss has no "
    "gradient; a row made with that code is one of output distillation (HKD)"
)
_REPRODUCED = "FAKD: DCKD's authors reproduced it on SwinIR; " + _CAUTION.removeprefix("FAKD: ")
_ONE_TEACHER = (
    "no published numbers of the suite's students are known; the teacher's are those of the released network"
)


def _of_dckd(network: str, scale: int, caution: str = _CAUTION, **rows: tuple[float, ...]) -> Published:
    """Return a part of DCKD's table: by model, the numbers on Set5, Set14, BSD100 and Urban100."""
    by_set = zip(_SETS, zip(*rows.values(), strict=True), strict=True)
    return Published("published", _DCKD.format(network, scale), (*rows,), dict(by_set), 2, caution)


def _released_edsr(source: str, *teacher: float) -> Published:
    by_set = {one: (value,) for one, value in zip(_SETS, teacher, strict=True)}
    return Published("published", source, ("teacher",), by_set, 2, _ONE_TEACHER)


BY_SUITE: Mapping[str, Published] = {
    "rcan-x2": _of_dckd(
        "RCAN",
        2,
        teacher=(38.27, 34.13, 32.41, 33.34),
        none=(38.13, 33.78, 32.26, 32.63),
        hkd=(38.17, 33.83, 32.29, 32.67),
        fakd=(38.17, 33.83, 32.29, 32.65),
        mipkd=(38.21, 33.92, 32.32, 32.83),
        dckd=(38.25, 34.01, 32.35, 32.92),
    ),
    "rcan-x3": _of_dckd(
        "RCAN",
        3,
        teacher=(34.74, 30.65, 29.32, 29.09),
        none=(34.61, 30.45, 29.18, 28.59),
        hkd=(34.61, 30.47, 29.21, 28.62),
        fakd=(34.63, 30.51, 29.21, 28.62),
        mipkd=(34.72, 30.55, 29.25, 28.76),
        dckd=(34.74, 30.60, 29.29, 28.87),
    ),
    "rcan-x4": _of_dckd(
        "RCAN",
        4,
        teacher=(32.63, 28.87, 27.77, 26.82),
        none=(32.38, 28.69, 27.63, 26.36),
        hkd=(32.45, 28.76, 27.67, 26.49),
        fakd=(32.46, 28.77, 27.68, 26.50),
        mipkd=(32.46, 28.77, 27.69, 26.55),
        dckd=(32.56, 28.82, 27.73, 26.69),
    ),
    "swinir-x2": _of_dckd(
        "SwinIR",
        2,
        _REPRODUCED,
        teacher=(38.36, 34.14, 32.45, 33.40),
        none=(38.00, 33.56, 32.19, 32.05),
        hkd=(38.04, 33.61, 32.22, 32.09),
        fakd=(38.03, 33.63, 32.21, 32.06),
        mipkd=(38.14, 33.76, 32.29, 32.46),
        dckd=(38.17, 33.85, 32.31, 32.59),
    ),
    "swinir-x4": _of_dckd(
        "SwinIR",
        4,
        _REPRODUCED,
        teacher=(32.72, 28.94, 27.83, 27.07),
        none=(32.31, 28.67, 27.61, 26.15),
        hkd=(32.27, 28.67, 27.62, 26.15),
        fakd=(32.22, 28.65, 27.61, 26.09),
        mipkd=(32.39, 28.76, 27.68, 26.37),
        dckd=(32.49, 28.82, 27.72, 26.53),
    ),
    "edsr-x2": _released_edsr("EDSR's authors, x2, one network", 38.19, 33.95, 32.35, 32.97),
    "edsr-x4": _released_edsr(
        "Wang et al., ECCV Workshops 2018 (ESRGAN), row EDSR, x4, one network", 32.46, 28.80, 27.71, 26.64
    ),
}
"""What is published for a suite's networks and recipe."""
_NAMES = {"mipkd": "MiPKD"}


def published(results: Results) -> Published | None:
    """Return the published table for a suite: its own, or the study's for other suites at scale 2."""
    if results.suite in BY_SUITE:
        return BY_SUITE[results.suite]
    return STUDY if results.scale in (2, None) else None


def notes(results: Results) -> list[str]:
    """Return where the published numbers are from."""
    if (known := published(results)) is None:
        scale = f" at x{results.scale}" if results.scale else ""
        return [f"no published numbers are known for suite {results.suite}{scale}"]
    return [f"({known.name}): {known.source}", known.caution]


def published_table(results: Results) -> Table | None:
    """Return the published numbers as a table of their own if it has models that the report lacks."""
    known = published(results)
    if known is None or known is STUDY or {*known.columns} <= {*results.columns}:
        return None
    rows = [
        [Cell(label(dataset)), *(Cell(f"{value:.{known.decimals}f}") for value in values.values())]
        for dataset in results.datasets
        if (values := known.of(dataset))
    ]
    return Table(
        title=one_line(f"{results.suite}: published PSNR-Y in dB"),
        header=["", *(_NAMES.get(model) or label(capitals(model)) for model in known.columns)],
        rows=rows,
        footnotes=[known.source, known.caution],
    )
