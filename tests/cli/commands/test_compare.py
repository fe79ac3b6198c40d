"""`srkd compare` on the command line, with made-up scores."""

import csv
import json
from dataclasses import fields
from pathlib import Path

import pytest

from srkd_bench.config.metrics import METRICS
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.progress import Display
from srkd_bench.evaluation.scores import Score
from srkd_bench.experiments.planning import planner
from srkd_bench.store.artifact_store import ArtifactStore
from tests.conftest import Srkd
from tests.support.finished_runs import keep_scores

SUITE = ["tiny.yaml", "--seeds", "6"]


def test_two_methods_of_a_suite_are_compared(srkd: Srkd, kept: list[str]) -> None:
    code, text, _ = srkd("compare", *SUITE, "hkd", "none")
    assert code == 0
    assert "+0.200 [+" in text
    assert "photos-test, highest: chelsea +0.300" in text
    assert "photos-test, lowest: camera +0.100" in text
    assert "params.hkd" in text
    compared = json.loads(srkd("compare", *SUITE, "hkd", "none", "--json")[1])
    assert compared["schema"] == 2
    assert [one["verdict"] for one in compared["differences"]] == ["better", "better"]
    assert list(compared["images"]["photos-test"]) == ["chelsea", "coffee", "camera"]
    assert compared["settings"]["method"] == ["hkd", "none"]
    assert "seed" not in compared["settings"]


def test_two_runs_are_compared_by_prefixes_of_their_ids(srkd: Srkd, kept: list[str]) -> None:
    code, text, _ = srkd("compare", kept[1][:8], kept[0])
    assert code == 0
    assert f"hkd seed 0 ({kept[1]}) against none seed 0 ({kept[0]})" in text
    assert "No test: one seed; a test needs two" in text
    assert "+0.200" in text


def test_each_method_of_two_files_of_scores_is_compared_with_itself(
    srkd: Srkd, kept: list[str], tmp_path: Path
) -> None:
    assert srkd("report", *SUITE, "-o", "old.csv")[0] == 0
    rows = list(csv.reader((tmp_path / "old.csv").read_text(encoding="utf-8").splitlines()))
    column = {name: index for index, name in enumerate(rows[0])}
    for row in rows[1:]:
        if row[column["metric"]] == "ssim_y":
            row[column["protocol"]] = "y@0"
        elif row[column["model"]] == "hkd":
            gain = 0.25 + (-1) ** int(row[column["seed"]]) / 100
            row[column["value"]] = str(float(row[column["value"]]) + gain)
    text = "\n".join(",".join(row) for row in rows if row[0] != "rkd+hkd")
    (tmp_path / "new.csv").write_text(text, encoding="utf-8")
    code, text, _ = srkd("compare", "new.csv", "old.csv")
    assert code == 0
    assert text.startswith("new.csv against old.csv, each method against itself")
    assert "photos-test" in text
    assert "No test: all seeds differ by the same amount, so their variance is 0 (none)" in text
    assert "Not compared, as the files share no seed and image: rkd+hkd" in text
    assert json.loads(srkd("compare", "new.csv", "old.csv", "--json")[1])["not_compared"] == ["rkd+hkd"]
    found = json.loads(srkd("compare", "new.csv", "old.csv", "--json")[1])["differences"]
    shown = [(one["model"], one["metric"], round(one["mean"], 6), one["verdict"]) for one in found]
    assert shown == [("none", "psnr_y", 0, None), ("hkd", "psnr_y", 0.25, "better")]
    chosen = json.loads(srkd("compare", "new.csv", "old.csv", "-m", "hkd", "--json")[1])["differences"]
    assert chosen == found[1:]


def test_only_scores_of_the_same_protocol_are_compared(
    srkd: Srkd, kept: list[str], tmp_path: Path, display: Display
) -> None:
    store = ArtifactStore(tmp_path / "home")
    suite = load_suite(str(tmp_path / "tiny.yaml"))
    keep_scores(store, planner.plan(suite, store, display).students[1], 9.0, pixels="of another copy")
    compared = json.loads(srkd("compare", kept[1], kept[0], "--json")[1])
    assert list(compared["images"]) == ["photos-test"]
    assert [one["mean"] for one in compared["differences"]] == pytest.approx([0.2] * len(METRICS))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["hkd", "nnoe"], 1, "did you mean 'none'?"),
        (["hkd", "hkd"], 1, "compared with itself"),
        (["abcdef", "123456"], 3, "no finished run 'abcdef'"),
        (["hkd", "gone.csv"], 3, "no file 'hkd'"),
        (["empty.csv", "empty.csv"], 1, "no method has scores of the same image"),
    ],
)
def test_incomparable_arguments_are_one_error(
    srkd: Srkd, kept: list[str], tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    (tmp_path / "empty.csv").write_text(
        ",".join(column.name for column in fields(Score)) + "\n", encoding="utf-8"
    )
    suite = [] if words[1].endswith(".csv") else SUITE
    got, _, said = srkd("compare", *suite, *words)
    assert (got, message in said) == (code, True)
