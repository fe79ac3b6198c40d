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
_DCKD = "Zhou et al., AAAI 2025 (DCKD), Table 2, RCAN, {}, one run each; HKD is its row Logits"
_COLUMNS = ("teacher", "none", "hkd", "fakd", "mipkd", "dckd")
_CAUTION = (
    "FAKD: a public re-implementation sums its losses through torch.tensor, so that its feature loss has no "
    "gradient; a row made with that code is one of output distillation (HKD)"
)
BY_SUITE: Mapping[str, Published | None] = {
    "rcan-x2": Published(
        name="published",
        source=_DCKD.format("x2"),
        columns=_COLUMNS,
        psnr_y={
            "set5": (38.27, 38.13, 38.17, 38.17, 38.21, 38.25),
            "set14": (34.13, 33.78, 33.83, 33.83, 33.92, 34.01),
            "bsd100": (32.41, 32.26, 32.29, 32.29, 32.32, 32.35),
            "urban100": (33.34, 32.63, 32.67, 32.65, 32.83, 32.92),
        },
        decimals=2,
        caution=_CAUTION,
    ),
    "rcan-x4": Published(
        name="published",
        source=_DCKD.format("x4"),
        columns=_COLUMNS,
        psnr_y={
            "set5": (32.63, 32.38, 32.45, 32.46, 32.46, 32.56),
            "set14": (28.87, 28.69, 28.76, 28.77, 28.77, 28.82),
            "bsd100": (27.77, 27.63, 27.67, 27.68, 27.69, 27.73),
            "urban100": (26.82, 26.36, 26.49, 26.50, 26.55, 26.69),
        },
        decimals=2,
        caution=_CAUTION,
    ),
    "edsr-x2": None,
    "edsr-x4": None,
}
"""What is published for a suite's networks and recipe; None: nothing that srkd knows."""
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
