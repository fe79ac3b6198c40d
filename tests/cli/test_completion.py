import os
import subprocess
import sys
from pathlib import Path

import pytest

from srkd_bench.cli import completion
from srkd_bench.report.render import FORMATS
from tests.support.finished_runs import pair


def completed(line: str, home: Path) -> list[str]:
    """Return what bash offers for the last word of a line, in a process of its own."""
    code = (
        "import sys\nfrom srkd_bench.cli.app import app\n"
        "try: app(prog_name='srkd')\nfinally: "
        "assert not {'torch', 'numpy', 'pandas', 'srkd_bench.config.suite'} & set(sys.modules), 'a heavy import'"
    )
    words = line.split(" ")
    environment = os.environ | {
        "_SRKD_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"SRKD_HOME": str(home)},
        cwd=home,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "heavy" not in ran.stderr
    return ran.stdout.split()


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
        ("srkd report demo -f ht", ["html"]),
        ("srkd run demo --device c", ["cpu", "cuda"]),
        ("srkd run demo --executor r", ["ray"]),
        ("srkd plan demo --format sl", ["slurm"]),
    ],
)
def test_names_are_completed_without_heavy_imports(tmp_path: Path, line: str, expected: list[str]) -> None:
    (tmp_path / "mine.yaml").touch()
    assert [one for one in completed(line, tmp_path) if not one.startswith("cuda:")] == expected


def test_run_ids_are_completed_without_damaged_runs(tmp_path: Path) -> None:
    student, _ = pair(tmp_path)
    damaged = tmp_path / "runs" / ("f" * 20)
    damaged.mkdir()
    (damaged / "artifact.json").write_text("{", encoding="utf-8")
    assert completed(f"srkd show {student.digest[:4]}", tmp_path) == [student.digest[:12]]
    assert completed("srkd show ffff", tmp_path) == []


def test_formats_are_those_of_reports() -> None:
    assert set(completion.REPORT_FORMATS) == set(FORMATS)
