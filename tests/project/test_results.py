"""Check that the pages show the scores under results/; `python -m tests.project.test_results` updates the pages.

A block begins with `<!-- KIND SUITE OPTIONS -->` and ends with `<!-- end -->`. By kind, it holds
`report`: the output of `srkd report`; `scores`: its gains and its scores in PSNR-Y; `gains`: the gains alone;
`summary`: gain, interval, adjusted p and verdict of each method, spelled out; `compare SUITE OTHER`: the
difference of each method from itself in results/OTHER.csv.gz; `grid`: a grid's gains in PSNR-Y over
two axes, their effects and changes; `multipliers`: k and c of each method in each cell of a grid; `advice`: what
`srkd advise` says from a grid; `trials`: the trials of a search for weights.
"""

import json
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from docs_generators import advice
from srkd_bench.config.suite_file import load_suite
from srkd_bench.evaluation.grids.advice import PACKAGED
from srkd_bench.methods.sources import parameters_of
from srkd_bench.report.formats.grid_file import to_csv
from srkd_bench.report.formats.score_file import compressed
from srkd_bench.report.tables.differences import probability, signed
from srkd_bench.report.tables.table import capitals, label
from tests.support.grids import simulated

ROOT = Path(__file__).parents[2]
PAGES = ("docs/results.md", "docs/advice.md")
PENDING = "The scores of the suite `{}` are not published yet."
NAMES = {
    "hkd": "Output distillation (HKD)",
    "ckd": "Contrastive distillation (CKD)",
    "rkd": "Relational distillation (RKD)",
    "rvkd": "Review distillation (RVKD)",
    "rkd+hkd": "RKD and HKD together",
    "none@equal-cost": "No distillation, equal multiply-adds",
}
BLOCK = re.compile(
    r"(?<=<!-- )(report|scores|gains|summary|compare|grid|multipliers|advice|trials) (\S+)(.*?) -->\n"
    r"((?:(?!<!-- ).)*?)\n?(?=<!-- end -->)",
    flags=re.DOTALL,
)


def reported(suite: str, options: str) -> str:
    """Return the output of `srkd report` for scores under results/."""
    return of_file(suite, ROOT / "results" / suite / "scores.csv.gz", options)


@cache
def of_file(suite: str, source: Path, options: str) -> str:
    chosen = shlex.split(f"--format markdown {options}")  # a second --format replaces the first
    return srkd("report", suite, "--from", str(source), *chosen)


def srkd(*words: str) -> str:
    command = [sys.executable, "-m", "srkd_bench", *words]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout.strip()


def compared(suite: str, other: str) -> str:
    """Return what `srkd compare` says of PSNR-Y over all data sets, without methods whose runs are the same."""
    files = [ROOT / "results" / f"{one}.csv.gz" for one in (f"{suite}/scores", other)]
    lines = ["|  | Difference (dB) | 95 % interval | Holm p | Verdict |", "| :-- | --: | --: | --: | --: |"]
    for row in json.loads(srkd("compare", *map(str, files), "--json"))["differences"]:
        if row["dataset"] is None and row["metric"] == "psnr_y" and row["mean"]:
            name = label(capitals(row["model"]))
            lines.append(f"| {name} | {' | '.join(verdict_cells(row))} |")
    return "\n".join(lines)


def summary(suite: str) -> str:
    """Return the gain of each method in PSNR-Y over all data sets, with its interval, Holm's p and verdict."""
    lines = ["| Method | Gain (dB) | 95 % interval | Holm p | Verdict |", "| :-- | --: | --: | --: | :-- |"]
    for row in json.loads(reported(suite, "--format json"))["differences"]:
        if row["dataset"] is None and row["metric"] == "psnr_y":
            lines.append(f"| {NAMES[row['model']]} | {' | '.join(verdict_cells(row))} |")
    return "\n".join(lines)


def verdict_cells(row: dict[str, Any]) -> list[str]:
    """Return a difference of the JSON report as printed: mean, interval, p adjusted by Holm, verdict."""
    low, high, mean = (signed(row[name], 3) for name in ("low", "high", "mean"))
    return [mean, f"{low} to {high}", probability(row["p_holm"]), row["verdict"]]


def psnr(suite: str, report: str) -> tuple[str, str]:
    """Return the rows of a report's scores in PSNR-Y, and those of the gains over all data sets."""
    parts = re.split(r"^### (.+)\n", report, flags=re.MULTILINE)[1:]
    rows = {
        title: "\n".join(line for line in part.splitlines() if line.startswith("|"))
        for title, part in zip(parts[::2], parts[1::2], strict=True)
    }
    table = f"{suite}: PSNR-Y in dB"
    return rows[table], next(own for title, own in rows.items() if title.startswith(f"{table}, gain over"))


def of_grid(kind: str, suite: str, options: str) -> str:
    """Return tables of a grid, or advice from it, if its scores are published."""
    source = ROOT / "results" / suite / "scores.csv.gz"
    if not source.exists():
        return PENDING.format(suite)
    if kind == "advice":
        return f"```text\n{srkd('advise', *shlex.split(options), '--from', str(source))}\n```"
    tables = re.split(r"^(?=### )", reported(suite, options), flags=re.MULTILINE)[1:]
    if kind == "multipliers":
        return multipliers(tables[0])
    titles = [one.partition("\n")[0] for one in tables]
    return "".join(
        one
        for one, title in zip(tables, titles, strict=True)
        if "PSNR-Y" in title and "in each cell" not in title
    ).strip()


def multipliers(table: str) -> str:
    """Return k and c of each method from a grid's table of gains in each cell, one row for each cell."""
    header, _, *rows = [line[2:-2].split(" | ") for line in table.splitlines() if line.startswith("|")]
    k, c = header.index("k"), header.index("c")
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        cell, _, method = row[0].partition(": ")
        if row[k] != "–":
            found.setdefault(cell, {})[method] = f"{row[k]} | {row[c]}"
    methods = list(dict.fromkeys(method for own in found.values() for method in own))
    head = "".join(f" {method}: k | {method}: c |" for method in methods)
    lines = [f"| Student | Steps | Images |{head}", f"| :-- | --: | --: |{' --: | --: |' * len(methods)}"]
    for cell, own in found.items():
        where = cell.replace("student ", "").replace(" steps", "").replace(" images", "").split(", ")
        lines.append(f"| {' | '.join([*where, *(own.get(method, '– | –') for method in methods)])} |")
    return "\n".join(lines)


def trials(suite: str) -> dict[str, list[dict[str, Any]]]:
    """Return the published trials of a search by method, each method's default first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in json.loads((ROOT / "results" / suite / "trials.json").read_text(encoding="utf-8"))["trials"]:
        found.setdefault(one["method"], []).append(one)
    return found


def searched(suite: str) -> str:
    """Return the validation PSNR-Y of each trial of a search, each method's best in bold."""
    lines = []
    for method, tried in trials(suite).items():
        pairs = [[pair.split("=") for pair in one["weights"].split(", ")] for one in tried]
        names = ", ".join(f"`{name}`" for name, _ in pairs[0])
        cells = [
            f"{', '.join(value for _, value in own)}: {one['psnr_y']:.3f}"
            for own, one in zip(pairs, tried, strict=True)
        ]
        cells = [f"**{cell}**" if one["best"] else cell for cell, one in zip(cells, tried, strict=True)]
        lines.append(f"| {label(capitals(method))}, {names} | {' | '.join(cells)} |")
    others = lines[0].count(" | ") - 1
    head = [f"|  | Default |{'  |' * others}", f"| :-- |{' --: |' * (others + 1)}"]
    return "\n".join([*head, *lines])


def wanted(kind: str, suite: str, options: str) -> str:
    if kind == "trials":
        return searched(suite)
    if kind in ("grid", "multipliers", "advice"):
        return of_grid(kind, suite, options)
    if kind == "compare":
        return compared(suite, options.strip())
    if kind == "summary":
        return summary(suite)
    report = reported(suite, options)
    if kind == "report":
        return report
    scores, gains = psnr(suite, report)
    return gains if kind == "gains" else f"{gains}\n\n{scores}"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_the_scores(page: str) -> None:
    blocks = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert blocks
    for *block, shown in blocks:
        assert shown == wanted(*block)


def test_a_grids_block_has_its_tables_and_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "results" / "map").mkdir(parents=True)
    cells = simulated({"hkd": lambda x, y, z: 0.1}, steps=[100, 200])
    (tmp_path / "results" / "map" / "scores.csv.gz").write_bytes(compressed(to_csv(cells)))
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    shown = wanted("grid", "map", "")
    assert re.findall("### .*, (.*)", shown) == [
        "gain of HKD over w/o KD",
        "effects of the factors on the gain",
        "change of the gain between neighbouring values",
    ]
    assert "Expected gain" in wanted("advice", "map", "--params 50000 --steps 150 --images 60")
    assert wanted("grid", "other", "") == "The scores of the suite `other` are not published yet."


def test_multipliers_have_a_row_for_each_cell_without_longer_trainings() -> None:
    rows = [
        "|  | Gain | k | c |",
        "| :-- | --: | --: | --: |",
        "| student 8x4, 2,500 steps, 50 images: HKD | +0.1 | 1.2 | 1.1 |",
        "| student 8x4, 2,500 steps, 50 images: RVKD | +0.2 | 1.3 | 9.0 |",
        "| student 8x4, 2,500 steps, 399 images: HKD | +0.3 | >4 | 1.0 |",
        "| student 8x4, 2,500 steps, 399 images: w/o KD, 2× steps | +0.4 | – | 1.0 |",
    ]
    assert multipliers("\n".join(["### title", "", *rows, "", "- a note"])).splitlines() == [
        "| Student | Steps | Images | HKD: k | HKD: c | RVKD: k | RVKD: c |",
        "| :-- | --: | --: | --: | --: | --: | --: |",
        "| 8x4 | 2,500 | 50 | 1.2 | 1.1 | 1.3 | 9.0 |",
        "| 8x4 | 2,500 | 399 | >4 | 1.0 | – | – |",
    ]


def test_a_suite_has_the_best_weights_of_its_published_search() -> None:
    suite = load_suite("bsds-methods")
    for method, tried in trials(suite.name).items():
        (best,) = (one["params"] for one in tried if one["best"])
        assert max(tried, key=lambda one: one["psnr_y"])["params"] == best
        of_parts = parameters_of(method, suite.params)
        assert all(best[part].items() >= own.items() for part, own in of_parts.items())
        names = {pair.partition("=")[0].rpartition(".")[2] for pair in tried[0]["weights"].split(", ")}
        assert {name for own in of_parts.values() for name in own} == names


def test_the_packaged_summary_is_that_of_the_published_map() -> None:
    """If this fails, run `python -m docs_generators.advice`."""
    packaged = PACKAGED.read_text(encoding="utf-8") if PACKAGED.exists() else ""
    assert packaged == (advice.summary() if advice.SCORES.exists() else "")


def test_checkpoints_and_scores_stay_small() -> None:
    assert sum(path.stat().st_size for path in ROOT.glob("results/**/*.tar")) <= 6_000_000
    kinds = {path.suffix for path in ROOT.glob("results/**/*") if path.is_file()}
    assert kinds <= {
        ".gz",
        ".json",
        ".html",
        ".tar",
    }  # no images: their licences do not allow redistribution


if __name__ == "__main__":
    for name in PAGES:
        path = ROOT / name
        text = BLOCK.sub(
            lambda found: f"{found[1]} {found[2]}{found[3]} -->\n{wanted(found[1], found[2], found[3])}\n",
            path.read_text(encoding="utf-8"),
        )
        path.write_text(text, encoding="utf-8", newline="\n")
