"""Check that the pages show the scores under results/; `python -m tests.project.test_results` updates the pages.

A block begins with `<!-- KIND SUITE OPTIONS -->` and ends with `<!-- end -->`. By kind, it holds
`report`: the output of `srkd report`; `scores`: its table of PSNR-Y and the differences over all data sets;
`gains`: these differences alone; `summary`: gain, interval, corrected p and verdict of each method, spelled out;
`compare SUITE OTHER`: the gain of each method over itself in another suite.
"""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from srkd_bench.evaluation.statistics import Difference
from srkd_bench.report.tables.differences import in_words
from srkd_bench.report.tables.table import capitals, label

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/results.md")
NAMES = {
    "hkd": "Output distillation (HKD)",
    "ckd": "Contrastive distillation (CKD)",
    "rkd": "Relational distillation (RKD)",
    "rvkd": "Review distillation (RVKD)",
    "rkd+hkd": "RKD and HKD together",
    "none@equal-cost": "No distillation, equal multiply-adds",
}
BLOCK = re.compile(
    r"(?<=<!-- )(report|scores|gains|summary|compare) (\S+)(.*?) -->\n(.*?)(?=\n<!-- end -->)",
    flags=re.DOTALL,
)


def reported(suite: str, options: str) -> str:
    """Return the output of `srkd report` for scores under results/."""
    source = ROOT / "results" / suite / "scores.csv"
    chosen = shlex.split(f"--format markdown {options}")  # a second --format replaces the first
    words = ["report", suite, "--from", str(source), *chosen]
    return srkd(*words)


def srkd(*words: str) -> str:
    command = [sys.executable, "-m", "srkd_bench", *words]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout.strip()


def compared(suite: str, other: str) -> str:
    """Return the output of `srkd compare` for PSNR-Y over all data sets, without methods whose runs are equal."""
    files = [str(ROOT / "results" / name / "scores.csv") for name in (suite, other)]
    lines = ["|  | Difference \\[95 %\\] | p | Verdict | Seeds |", "| :-- | --: | --: | --: | --: |"]
    for row in json.loads(srkd("compare", *files, "--json"))["differences"]:
        verdict = row.pop("verdict")
        one = Difference(**row)
        if one.dataset is None and one.metric == "psnr_y" and one.mean:
            words = in_words(one, 3).replace("[", r"\[").replace("]", r"\]")
            lines.append(
                f"| {label(capitals(one.model))} | {words} | {one.p:.3f} | {verdict} | {one.seeds} |"
            )
    return "\n".join(lines)


def summary(suite: str) -> str:
    """Return the gain of each method in PSNR-Y over all data sets, with its interval, Holm's p and verdict."""
    lines = ["| Method | Gain (dB) | 95 % interval | Holm p | Verdict |", "| :-- | --: | --: | --: | :-- |"]
    for row in json.loads(reported(suite, "--format json"))["differences"]:
        if row["dataset"] is None and row["metric"] == "psnr_y":
            low, high, mean = (f"{row[name]:+.3f}".replace("-", "−") for name in ("low", "high", "mean"))
            name = NAMES[row["model"]]
            lines.append(f"| {name} | {mean} | {low} to {high} | {row['p_holm']:.3f} | {row['verdict']} |")
    return "\n".join(lines)


def psnr(suite: str, report: str) -> tuple[str, str]:
    """Return the rows of a report's PSNR-Y, and those of the differences over all data sets."""
    parts = re.split(r"^### (.+)\n", report, flags=re.MULTILINE)[1:]
    rows = {
        title: [line for line in part.splitlines() if line.startswith("|")]
        for title, part in zip(parts[::2], parts[1::2], strict=True)
    }
    table = f"{suite}: PSNR-Y in dB"
    gains = next(rows[title] for title in rows if title.startswith(f"{table}, difference from"))
    means = [line for line in gains if line.startswith(("|  |", "| :", "| All: "))]
    return "\n".join(rows[table]), "\n".join(means)


def wanted(kind: str, suite: str, options: str) -> str:
    if kind == "compare":
        return compared(suite, options.strip())
    if kind == "summary":
        return summary(suite)
    report = reported(suite, options)
    if kind == "report":
        return report
    scores, gains = psnr(suite, report)
    return gains if kind == "gains" else f"{scores}\n\n{gains}"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_the_scores(page: str) -> None:
    blocks = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert blocks
    for *block, shown in blocks:
        assert shown == wanted(*block)


def test_checkpoints_and_scores_stay_small() -> None:
    assert sum(path.stat().st_size for path in ROOT.glob("results/**/*.tar")) <= 6_000_000
    kinds = {path.suffix for path in ROOT.glob("results/**/*") if path.is_file()}
    assert kinds <= {
        ".csv",
        ".json",
        ".html",
        ".tar",
    }  # no images: their licences do not allow redistribution


if __name__ == "__main__":
    for name in PAGES:
        path = ROOT / name
        text = BLOCK.sub(
            lambda found: f"{found[1]} {found[2]}{found[3]} -->\n{wanted(found[1], found[2], found[3])}",
            path.read_text(encoding="utf-8"),
        )
        path.write_text(text, encoding="utf-8", newline="\n")
