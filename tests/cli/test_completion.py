import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from srkd_bench.cli import completion
from srkd_bench.cli.app import app
from srkd_bench.report.render import FORMATS
from tests.support.finished_runs import pair

CODE = """
import sys
from srkd_bench.cli.app import main
sys.argv = ["srkd"]
try: main()
finally: assert not {"torch", "numpy", "pandas", "srkd_bench.config.suite"} & set(sys.modules), "a heavy import"
"""


def ask(shell: str, home: Path, **variables: str) -> str:
    """Return what the command answers to a shell's script, in a process of its own."""
    variables = {"SRKD_HOME": str(home), "_SRKD_COMPLETE": f"complete_{shell}"} | variables
    ran = subprocess.run(
        [sys.executable, "-c", CODE],
        env=os.environ | variables,
        cwd=home,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "heavy" not in ran.stderr
    return ran.stdout


def completed(line: str, home: Path) -> list[str]:
    """Return what bash offers for the last word of a line."""
    words = line.split(" ")
    return ask("bash", home, COMP_WORDS="\n".join(words), COMP_CWORD=str(len(words) - 1)).split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("srkd run de", ["demo"]),
        ("srkd run mi", ["mine.yaml"]),
        ("srkd distill demo --method hk", ["hkd"]),
        ("srkd distill demo --method none,hk", ["none,hkd"]),
        ("srkd distill demo --method rkd+hk", ["rkd+hkd"]),
        ("srkd distill demo --method hkd,none@", ["hkd,none@2x", "hkd,none@equal-cost"]),
        ("srkd download set", ["set5", "set14", "set14@edsr"]),
        ("srkd evaluate --datasets set5,set1", ["set5,set14", "set5,set14@edsr"]),
        ("srkd crops demo --dataset photos-t", ["photos-test"]),
        ("srkd evaluate --datasets set5,./pho", ["set5,./photos/"]),
        ("srkd store gc --keep demo,sm", ["demo,smoke"]),
        ("srkd report demo --baseline hk", ["hkd"]),
        ("srkd report demo -f ht", ["html"]),
        ("srkd report --highlight s", ["significant"]),
        ("srkd export --to o", ["onnx"]),
        ("srkd ls me", ["methods"]),
        ("srkd compare demo hk", ["hkd"]),
        ("srkd run --set evaluate.me", ["evaluate.metrics=["]),
        ("srkd run demo --device c", ["cpu", "cuda"]),
        ("srkd run demo --device cuda,c", ["cuda,cpu"]),
        ("srkd run demo --executor r", ["ray"]),
        ("srkd plan demo --format sl", ["slurm"]),
    ],
)
def test_names_are_completed_without_heavy_imports(tmp_path: Path, line: str, expected: list[str]) -> None:
    (tmp_path / "mine.yaml").touch()
    (tmp_path / "photos").mkdir()
    assert [one for one in completed(line, tmp_path) if not one.startswith("cuda:")] == expected


def test_run_ids_are_completed_without_damaged_runs(tmp_path: Path) -> None:
    student, _ = pair(tmp_path)
    damaged = tmp_path / "runs" / ("f" * 20)
    damaged.mkdir()
    (damaged / "artifact.json").write_text("{", encoding="utf-8")
    assert completed(f"srkd show {student.digest[:4]}", tmp_path) == [student.digest[:12]]
    assert completed("srkd show ffff", tmp_path) == []
    assert completed(f"srkd upscale a.png --run {student.digest[:4]}", tmp_path) == [student.digest[:12]]


def test_runs_are_found_by_their_digits_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, _ = pair(tmp_path)
    monkeypatch.setattr(completion, "MOST_RUNS", 1)
    (tmp_path / "runs" / ("0" * 20)).mkdir()
    (tmp_path / "runs" / ("0" * 20) / "artifact.json").write_text("{}", encoding="utf-8")
    context = typer.Context(typer.main.get_command(app))
    context.params["home"] = tmp_path
    assert [one for one, _ in completion.runs(context, student.digest[:3])] == [student.digest[:12]]


def test_formats_are_those_of_reports() -> None:
    assert set(completion.REPORT_FORMATS) == set(FORMATS)
