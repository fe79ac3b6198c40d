"""What is published of `bsds` is what the committed scores say."""

from pathlib import Path

import pytest

from tests.conftest import Srkd

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results"


def published(page: Path, name: str) -> str:
    """Return what stands in a page between the marks of a block."""
    _, _, rest = page.read_text().partition(f"<!-- {name} -->\n")
    block, end, _ = rest.partition(f"<!-- end of {name} -->")
    assert end, f"{page.name} has no block {name}"
    return block.strip()


@pytest.fixture
def report(srkd: Srkd) -> str:
    scores = str(RESULTS / "bsds/scores.csv")
    code, text, messages = srkd("report", "--suite", "bsds", "--from", scores, "-f", "markdown", "--claims")
    assert code == 0, messages
    return text.strip()


def test_the_page_of_results_has_the_report_of_the_committed_scores(report: str) -> None:
    assert published(ROOT / "docs/results.md", "srkd report") == report


def test_the_readme_has_its_first_table(report: str) -> None:
    first = report.split("\n### ")[0].strip()
    assert "PSNR-Y" in first.splitlines()[0]
    assert published(ROOT / "README.md", "bsds") == first.partition("\n")[2].strip()
