"""The results that the Python interface returns: data frame, tables, statistical tests and reports."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from srkd_bench.core.errors import SrkdError
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import columns
from srkd_bench.evaluation.statistics import Difference, differences
from srkd_bench.experiments.analysis import collect

if TYPE_CHECKING:
    import pandas as pd

    from srkd_bench.core.progress import Display
    from srkd_bench.experiments.planning.planner import Plan
    from srkd_bench.report.tables.table import Highlight
    from srkd_bench.store.artifact_store import ArtifactStore


@dataclass(frozen=True, repr=False)
class StudyResults:
    """Scores of a study or of `evaluate`, with their tables, statistical tests and reports.

    In a notebook, an object of this class is shown as its tables.

    Attributes:
        results: the scores and everything else that a report shows.
        origin: the plan, store and display of a study; None for the results of `evaluate`.
    """

    results: Results
    origin: tuple[Plan, ArtifactStore, Display] | None = None

    def __repr__(self) -> str:
        return self.table()

    def _repr_markdown_(self) -> str:
        return self.table("markdown")

    def to_pandas(self) -> pd.DataFrame:
        """Return all scores as a pandas data frame, one row for each image and metric.

        Returns:
            Columns `model`, `dataset`, `image`, `metric`, `protocol`, `value` (dB for PSNR, 0 to 1 for SSIM),
            `run`, `method`, `seed`, `suite` and, with several teachers, `teacher_seed`, as in `scores.csv`. `seed`
            is missing for the teacher and bicubic.
        Raises:
            SrkdError: pandas is not installed.

        Example:
            >>> results.to_pandas().groupby(["model", "dataset", "metric"])["value"].mean()  # doctest: +SKIP
        """
        try:
            import pandas as pd
        except ImportError:
            raise SrkdError("to_pandas needs pandas", "python -m pip install pandas") from None
        names = columns(self.results.scores)
        rows = [[getattr(score, name) for name in names] for score in self.results.scores]
        return pd.DataFrame(rows, columns=names).astype(
            {name: "Int64" for name in ("seed", "teacher_seed") if name in names}
        )

    def table(self, format: str = "terminal") -> str:
        """Return the tables that `srkd report --format FORMAT` prints.

        Args:
            format: `terminal` (plain text), `markdown`, `latex`, `html`, `csv` or `json`.
        Raises:
            SrkdError: there is no such format.

        Example:
            >>> print(results.table())  # doctest: +SKIP
        """
        from srkd_bench.report.render import render

        return render(self.results, format)

    def differences(self, metric: str | None = None) -> list[Difference]:
        """Return each method's difference from the baseline, paired by seed and image, with its test.

        Args:
            metric: `psnr_y`, `ssim_y` or `psnr_rgb`; every metric of the results if not given.
        Returns:
            For each metric and method one difference for each data set, then one for all data sets (`dataset` is
            None): `mean`, `low` and `high` (95 % interval) in the metric's unit, and `p` of the paired t test.
            Those for all data sets also have `p_holm` and `verdict`. Empty for the results of `evaluate`: they have
            no seeds.
        Raises:
            SrkdError: the results have no such metric.

        Example:
            >>> [(one.model, one.mean, one.verdict) for one in results.differences("psnr_y")]  # doctest: +SKIP
        """
        if metric is not None and metric not in self.results.metrics:
            raise SrkdError(
                f"no metric '{metric}' in these results", f"known: {', '.join(self.results.metrics)}"
            )
        metrics = self.results.metrics if metric is None else [metric]
        return [found for one in metrics for found in differences(self.results, one)]

    def report(
        self,
        path: str | Path,
        *,
        claims: bool = False,
        reference: bool = False,
        highlight: Highlight = "printed",
        crops: bool = True,
    ) -> Path:
        """Write a report and return its path, as `srkd report -o FILE` does.

        Args:
            path: the format is that of the suffix: `.html`, `.md`, `.tex`, `.csv`, `.csv.gz`, `.json` or `.txt`.
            claims: whether verdicts on the suite's claims are shown; a page always shows them.
            reference: whether the original study's numbers are shown.
            highlight: how the best is determined: by `printed` value, or by `significant` differences.
            crops: whether a page shows regions of images.
        Raises:
            SrkdError: no format has this suffix, or the file cannot be written.

        Example:
            >>> results.report("page.html")  # doctest: +SKIP
        """
        from srkd_bench.report.document import Document
        from srkd_bench.report.render import format_of, write_report, written

        path = Path(path)
        format = format_of(path)
        is_page = format == "html"
        shown, verdicts, panels = self.results, [], []
        if self.origin is not None:
            plan, store, display = self.origin
            if is_page:
                shown = replace(shown, trainings=collect.read_trainings(plan, store))
            verdicts = collect.verdicts(shown, plan.suite) if claims or is_page else []
            panels = collect.find_panels(plan, store, display) if crops and is_page else []
        write_report(path, written(Document(shown, reference, highlight, verdicts, panels), format))
        return path
