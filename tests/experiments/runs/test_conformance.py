"""The suite `conformance` on a network with known scores, since EDSR's own weights are not available."""

import os
from pathlib import Path

import pytest

from srkd_bench.config.suite_file import load_suite
from tests.conftest import Srkd

DATA = os.environ.get("SRKD_TEST_DATA", "")
needs_data = pytest.mark.skipif(not DATA, reason="SRKD_TEST_DATA does not point to the real images")


def test_the_conformance_suite_trains_nothing_and_claims_edsrs_published_scores() -> None:
    suite = load_suite("conformance")
    assert suite.methods == []
    images, teacher = suite.claims
    assert (images.of, teacher.of) == ("bicubic", "teacher")
    published = {"set5": 38.19, "set14": 33.95, "bsd100": 32.35, "urban100": 32.97}
    assert teacher.reads == published | {f"{name}@edsr": published[name] for name in [*published][1:]}


@needs_data
@pytest.mark.parametrize(("claimed", "verdict"), [(37.801, "holds"), (37.83, "fails")])
def test_a_pretrained_network_has_its_published_scores(srkd: Srkd, claimed: float, verdict: str) -> None:
    weights = Path(DATA) / "weights" / "edsr_r8f64_x2.pt"
    srkd("download", "set5", "--from", str(Path(DATA) / "set5"))
    reading = f"{{claim: it reads so, of: teacher, margin: 0.001, reads: {{set5: {claimed}}}}}"
    images = "{claim: bicubic too, of: bicubic, margin: 0.001, reads: {set5: 33.6734}}"
    chosen = ["--set", f"claims=[{images}, {reading}]", "--set", "data={train: set5, test: [set5], scale: 2}"]
    code, text, messages = srkd("run", "conformance", "--teacher", str(weights), *chosen)
    assert code == 0, messages
    assert "training" not in messages
    chosen += ["--set", f"teacher.weights={weights}", "--claims", "-f", "markdown"]
    code, text, _ = srkd("report", "conformance", *chosen)
    assert "| (1) bicubic too | holds |" in text
    assert f"| (2) it reads so | {verdict} |" in text
    assert "Teacher on Set5 37.801" in text


@needs_data
def test_bicubic_claims_are_checked_without_any_weights(srkd: Srkd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRKD_OFFLINE", "1")
    srkd("download", "set5", "--from", str(Path(DATA) / "set5"))
    claims = "claims=[{claim: bicubic, of: bicubic, margin: 0.001, reads: {set5: CLAIMED}},"
    claims += " {claim: teacher, margin: 0.01, reads: {set5: 38.19}}]"
    chosen = ["--set", "data={train: photos, test: [set5], scale: 2}", "--set"]
    right, wrong = ([*chosen, claims.replace("CLAIMED", value)] for value in ("33.6734", "33.7"))
    assert srkd("report", "conformance", "--check", *right)[0] == 3  # nothing is measured
    for command in ("run", "evaluate"):
        code, text, said = srkd(command, "conformance", *right)
        assert (code, "33.673" in text) == (3, True)
        assert "srkd is offline" in said
        assert "set teacher.weights to a file that you have" in said
    code, text, _ = srkd("report", "conformance", "--claims", *wrong, "-f", "markdown")
    assert code == 0
    assert "| (1) bicubic | fails |" in text
    assert "| (2) teacher | not measured |" in text
    assert "0edfb8a3.pt is not downloaded yet" in text
    assert srkd("report", "conformance", "--check", *right)[0] == 0
    assert srkd("report", "conformance", "--check", *wrong)[0] == 5


@needs_data
def test_a_suite_that_trains_nothing_has_no_student_budget_or_seed(srkd: Srkd) -> None:
    weights = Path(DATA) / "weights" / "edsr_r8f64_x2.pt"
    text = srkd("report", "conformance", "--teacher", str(weights), "--claims", "-f", "markdown")[1]
    assert "Teacher: EDSR" in text
    for word in ("Student", "student", "Budget", "significant", "w/o KD", "seed"):
        assert word not in text
