"""The suite `conformance` on a network whose numbers are known; EDSR's own weights are not at hand."""

import os
from pathlib import Path

import pytest

from srkd_bench.config.suite_file import load_suite
from tests.conftest import Srkd

DATA = os.environ.get("SRKD_TEST_DATA", "")
needs_data = pytest.mark.skipif(not DATA, reason="SRKD_TEST_DATA does not point to the real images")


def test_the_suite_trains_nothing_and_claims_what_edsrs_authors_published() -> None:
    suite = load_suite("conformance")
    assert suite.methods == []
    images, teacher = suite.claims
    assert (images.of, teacher.of) == ("bicubic", "teacher")
    assert teacher.reads == {"set5": 38.19, "set14": 33.95, "bsd100": 32.35, "urban100": 32.97}


@needs_data
@pytest.mark.parametrize(("claimed", "verdict"), [(37.801, "holds"), (37.83, "fails")])
def test_a_pretrained_network_reads_what_the_protocol_says_of_it(
    srkd: Srkd, claimed: float, verdict: str
) -> None:
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
