"""Check that texts and names avoid the phrases of `phrases.txt`."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("benchmarks", "docs_generators", "srkd_bench", "tests")
CHECKED = ("*.md", "docs/**/*.md", "suites/*.yaml", *(f"{folder}/**/*.py" for folder in FOLDERS))
LINES = Path(__file__).with_name("phrases.txt").read_text(encoding="utf-8").splitlines()
BETTER: dict[str, str] = dict(
    re.split(" +=> +", line, maxsplit=1) for line in LINES if line and not line.startswith("#")
)
BETWEEN = (
    r"(?:_|\s+(?:#\s+)?)"  # two words of a phrase: also in a name, on two lines, or in a comment of two lines
)
PHRASE = re.compile(
    rf"(?<![^\W_])(?:{'|'.join(BETWEEN.join(map(re.escape, phrase.split())) for phrase in BETTER)})(?![^\W_])",
    re.IGNORECASE,
)


def found(text: str) -> list[tuple[int, str]]:
    """Return the line number of each listed phrase in a text, and the phrase."""
    hits = PHRASE.finditer(text)
    return [
        (text.count("\n", 0, hit.start()) + 1, " ".join(re.split(BETWEEN, hit[0].lower()))) for hit in hits
    ]


def test_texts_and_names_avoid_the_listed_phrases() -> None:
    files = sorted({path for pattern in CHECKED for path in ROOT.glob(pattern)} - {Path(__file__)})
    hits = [
        f"{path.relative_to(ROOT)}:{line}: '{phrase}'; better: {BETTER[phrase]}"
        for path in files
        for line, phrase in found(path.read_text(encoding="utf-8"))
    ]
    assert not hits, "\n".join(hits)


@pytest.mark.parametrize("text", ["It Goes on.", "it goes\non", "# goes\n    # on", "def test_it_goes_on()"])
def test_a_phrase_is_found_across_lines_and_in_names(text: str) -> None:
    assert found(text) == [(1, "goes on")]


def test_parts_of_words_are_not_phrases() -> None:
    assert found("modest amendments, ongoing goes once") == []
