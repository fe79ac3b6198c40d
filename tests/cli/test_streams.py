"""Output in any encoding, into a closed pipe, and onto a full disk."""

import ast
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from srkd_bench.cli import streams
from srkd_bench.report.formats.glyphs import GLYPHS, PLAIN, fitted
from tests.conftest import Srkd

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "srkd_bench"
SCORES = str(ROOT / "results" / "bsds" / "scores.csv.gz")
REPORT = ["report", "bsds", "--from", SCORES]
COMMANDS = [
    REPORT,
    [*REPORT, "--claims", "-f", "markdown"],
    [*REPORT, "-f", "latex"],
    [*REPORT, "-f", "json"],
    ["compare", SCORES, SCORES],
    ["ls", "suites"],
    ["ls", "methods"],
    ["ls", "datasets"],
    ["ls", "runs"],
    ["show", "bsds"],
    ["plan", "smoke", "--format", "shell"],
    ["store", "du"],
    ["store", "verify"],
    ["run", "nowhere.yaml"],
    ["--help"],
    ["run", "--help"],
    ["crops", "--help"],
    ["method", "check", "--help"],
]


def started(*words: str, **others: object) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "srkd_bench", *words]
    return subprocess.run(command, check=False, **others)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words)[:30])
def test_every_command_prints_in_every_encoding(
    srkd: Srkd, monkeypatch: pytest.MonkeyPatch, words: list[str], encoding: str
) -> None:
    written, said = io.BytesIO(), io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(said, encoding=encoding))
    code, _, _ = srkd(*words)
    assert code == (3 if "nowhere.yaml" in words else 0)
    assert (written.getvalue() + said.getvalue()).decode(encoding)


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "cp1252"}, {"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}],
)
def test_a_report_in_a_separate_process_keeps_its_columns_aligned(environment: dict[str, str]) -> None:
    ended = started(*REPORT, env=os.environ | environment, capture_output=True)
    assert (ended.returncode, ended.stderr) == (0, b"")
    lines = ended.stdout.decode("cp1252").splitlines()
    start = next(i for i, line in enumerate(lines) if "difference from" in line)
    rows = lines[start + 4 : start + 9]  # after the name of the group
    assert len({row.index("[") for row in rows}) == 1
    assert any(" -0." in row for row in rows)


def test_every_character_that_srkd_prints_has_a_substitute() -> None:
    drawn = ("report/page/", "report/figures/", "methods/")
    printed = set[str]()
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith(drawn) or name.endswith(("data.py", "score_file.py", "latex.py", "glyphs.py")):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = {node for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        if not name.startswith("cli/"):  # where docstrings are help texts
            texts -= {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        printed |= {one for node in texts if isinstance(node.value, str) for one in node.value}
    assert {one for one in printed if one.isprintable() and not one.isascii()} <= GLYPHS.keys()


def test_a_substitute_is_ascii_and_other_characters_are_shown_by_their_code() -> None:
    assert all(text.isascii() for text in GLYPHS.values())
    assert fitted("−0.1 ± é 名 \udcff", "ascii") == r"-0.1 +/- \xe9 \u540d \udcff"
    assert fitted("± −", "cp1252") == "± -"
    assert fitted("± −", "utf-8") == "± −"


def test_a_file_on_stdout_is_utf_8_in_any_terminal_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", errors=PLAIN))
    streams.write_file("é ±\n")
    assert written.getvalue() == "é ±\n".encode()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (REPORT, 0),
        (["compare", SCORES, SCORES], 0),
        ([*REPORT, "--fail-if", "bicubic.set5 < 99"], 5),
        (["--help"], 0),
    ],
    ids=["report", "compare", "condition", "help"],
)
def test_a_closed_pipe_changes_no_exit_code(words: list[str], code: int) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        ended = started(*words, stdout=write, stderr=subprocess.PIPE)
        assert ended.returncode == code
        assert b"Traceback" not in ended.stderr
        assert b"Errno" not in ended.stderr
        unbuffered = os.environ | {"PYTHONUNBUFFERED": "1"}
        assert started(*words, stdout=write, stderr=write, env=unbuffered).returncode == code
    finally:
        os.close(write)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (REPORT, 1),
        ([*REPORT, "-f", "json"], 1),
        ([*REPORT, "--fail-if", "bicubic.set5 < 99"], 5),
        (["--version"], 1),
    ],
    ids=["report", "json", "condition", "version"],
)
def test_a_full_disk_is_one_error_and_the_same_exit_code_everywhere(words: list[str], code: int) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = started(*words, stdout=full, stderr=subprocess.PIPE)
        both = started(*words, stdout=full, stderr=full)
    assert (ended.returncode, both.returncode) == (code, code)
    said = ended.stderr.decode()
    assert ("error: cannot write standard output: No space left on device" in said) == (code == 1)
    assert said.count("error:") == 1
    assert "Traceback" not in said


@pytest.mark.skipif(not Path("/bin/sh").exists(), reason="the system has no /bin/sh")
def test_a_command_works_without_standard_output() -> None:
    command = f"exec {sys.executable} -m srkd_bench ls suites >&-"
    ended = subprocess.run(["/bin/sh", "-c", command], check=False, capture_output=True)
    assert (ended.returncode, ended.stderr) == (0, b"")
