"""Files of scores: what pandas and spreadsheets do to one is accepted, what changes a score is refused."""

import csv
import gzip
import io
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score, columns
from srkd_bench.report.formats import score_file
from srkd_bench.report.formats.score_file import compressed, from_csv, read_scores, to_csv

ROOT = Path(__file__).parents[3]
HEAD = ",".join(columns([]))
OLD_HEAD = HEAD.removesuffix(",suite")
SUITE = "smoke@" + "0123456789" * 2
SCORES = [
    Score("bicubic", "set5", "baby", "psnr_y", "y@1", 37.07809676820058, suite=SUITE),
    Score("none", "set5", "baby", "psnr_y", "y@1", math.inf, "ab" * 32, "none", 0, SUITE),
    Score("none", "set5", "baby", "ssim_y", "y@1", 0.9523369964, "ab" * 32, "none", 0, SUITE),
    Score(
        "rkd+hkd", "set5", "=bird; 1,5", "psnr_y", "y@1", 1e-05, "cd" * 32, "rkd+hkd", 4_294_967_295, SUITE
    ),
]


def written(scores: list[Score]) -> str:
    return to_csv(Results("smoke", [], [], [], scores))


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def joined(lines: list[list[str]], delimiter: str = ",") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(lines)
    return text.getvalue()


def test_scores_are_read_as_they_were_written() -> None:
    assert from_csv(written(SCORES), "s.csv") == SCORES


def test_the_seeds_of_several_teachers_are_a_last_column_that_other_files_lack() -> None:
    of_two = [replace(SCORES[1], teacher_seed=teacher) for teacher in (0, 3)]
    text = written([SCORES[0], *of_two])
    assert rows(text)[0] == [*HEAD.split(","), "teacher_seed"]
    assert [row[-1] for row in rows(text)] == ["teacher_seed", "", "0", "3"]
    assert from_csv(text, "s.csv") == [SCORES[0], *of_two]
    assert rows(written(SCORES))[0] == HEAD.split(",")
    assert from_csv(text.replace(",3\n", ",3.0\n"), "s.csv") == [SCORES[0], *of_two]  # pandas' way with gaps
    with pytest.raises(SrkdError, match=r"line 4 of .* repeats line 3"):
        from_csv(text.replace(",3\n", ",0\n"), "s.csv")
    with pytest.raises(SrkdError, match="'x' is not a seed"):
        from_csv(text.replace(",3\n", ",x\n"), "s.csv")


@pytest.mark.parametrize(
    "path",
    sorted(ROOT.glob("results/bsds*/scores.csv.gz")),
    ids=lambda path: path.parent.name,
)
def test_a_published_file_names_its_suite_and_is_read_without_the_name_as_of_older_versions(
    path: Path,
) -> None:
    scores = read_scores(path)
    assert len(scores) == gzip.decompress(path.read_bytes()).count(b"\n") - 1
    assert {score.suite.partition("@")[0] for score in scores} == {path.parent.name}
    text = gzip.decompress(path.read_bytes()).decode()
    assert text.startswith(f"{HEAD}\n")
    older = "".join(f"{line.rpartition(',')[0]}\n" for line in text.splitlines())
    assert from_csv(older, path.name) == [replace(score, suite="") for score in scores]


def test_a_compressed_file_is_read_whatever_its_name_and_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes(compressed(written(SCORES)))
    assert read_scores(path) == SCORES
    assert compressed(written(SCORES))[4:8] == bytes(4)  # the time of a gzip header


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (compressed("a" * 99)[:-9], "its compressed content is damaged"),
        (compressed("a" * 99)[:-8] + bytes(8), "its compressed content is damaged"),
        (compressed("a" * 99)[:12] + bytes([255] * 20), "its compressed content is damaged"),
        (compressed("a" * 101), "it expands to more than"),
        (gzip.compress(b"\xff\xfe", mtime=0), "it is not UTF-8 text"),
        (b"\xff\xfe", "it is not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    monkeypatch.setattr(score_file, "MOST_BYTES", 100)
    path = tmp_path / "s.csv.gz"
    path.write_bytes(content)
    with pytest.raises(SrkdError, match=rf"^cannot read .*s\.csv\.gz: {message}"):
        read_scores(path)


def test_a_file_that_does_not_exist_or_is_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no file"):
        read_scores(tmp_path / "s.csv")
    with pytest.raises(SrkdError, match="cannot read"):
        read_scores(tmp_path)


def test_a_file_that_pandas_has_read_and_written_holds_the_same_scores() -> None:
    text = io.StringIO()
    pd.read_csv(io.StringIO(written(SCORES))).to_csv(text, index=False)
    assert "0.0" in text.getvalue()
    assert from_csv(text.getvalue(), "s.csv") == SCORES
    text = io.StringIO()
    pd.read_csv(io.StringIO(written(SCORES))).to_csv(text)  # with an index before the first column
    assert from_csv(text.getvalue(), "s.csv") == SCORES


@pytest.mark.parametrize(
    "saved",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.rstrip("\n"),
        lambda text: joined(rows(text), ";"),
        lambda text: "\ufeffsep=;\r\n" + joined(rows(text), ";").replace("\n", "\r\n"),
        lambda text: joined(rows(text), "\t"),
        lambda text: joined([row[::-1] for row in rows(text)]),
        lambda text: text + ",,,,,,,,,\n\n",
        lambda text: joined([[*row, "note"] for row in rows(text)]),
        lambda text: text.replace(HEAD, HEAD.title()),
        lambda text: joined(
            [[cell.replace(".", ",") if i == 5 and j else cell for i, cell in enumerate(row)]
             for j, row in enumerate(rows(text))], ";",
        ),
    ],
    ids=["BOM", "CRLF", "no end", "semicolons", "Excel", "tabs", "order", "empty", "more", "case", "commas"],
)  # fmt: skip
def test_a_file_that_a_spreadsheet_has_saved_holds_the_same_scores(saved) -> None:  # type: ignore[no-untyped-def]
    assert from_csv(saved(written(SCORES)), "s.csv") == SCORES


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("none,set5,a,psnr_y,y@1,nan,,none,0", "'nan' is not a finite number"),
        ("none,set5,a,psnr_y,y@1,NaN,,none,0", "'NaN' is not a finite number"),
        ("none,set5,a,psnr_y,y@1,,,none,0", "'' is not a finite number"),
        ("none,set5,a,psnr_y,y@1,-inf,,none,0", "'-inf' is not a finite number"),
        ("none,set5,a,psnr_y,y@1,1e999,,none,0", "'1e999' is not a finite number"),
        ("none,set5,a,ssim_y,y@1,inf,,none,0", "'inf' is not a finite number"),
        ("none,set5,a,psnr_y,y@1,1_0,,none,0", "'1_0' is not a finite number"),
        ('none,set5,a,psnr_y,y@1,"37,1",,none,0', "'37,1' is not a finite number"),
        ("none,set5,a,psnr_y,y@1,37078096,,none,0", "out of range"),
        ("none,set5,a,psnr_y,y@1,30,,none,0.5", "'0.5' is not a seed"),
        ("none,set5,a,psnr_y,y@1,30,,none,-1", "'-1' is not a seed"),
        ("none,set5,a,psnr_y,y@1,30,,none,4294967296", "is not a seed"),
        ("none,set5,a,psnr_y,y@1,30,,none,1e0", "'1e0' is not a seed"),
        ("none,set5,,psnr_y,y@1,30,,none,0", "no image (pandas drops names such as NA"),
        (",set5,a,psnr_y,y@1,30,,none,0", "no model"),
        ("none,set5,a,psnr_x,y@1,30,,none,0", "no metric named 'psnr_x'"),
        ("none,set5,a,psnr_y,y@1,30,,none", "8 fields instead of 9"),
        ("none,set5,a,psnr_y,y@1,30,,none,0,x", "10 fields instead of 9"),
    ],
)
def test_what_is_no_score_is_refused_with_its_file_and_line(line: str, problem: str) -> None:
    with pytest.raises(SrkdError) as caught:
        from_csv(f"{OLD_HEAD}\nnone,set5,b,psnr_y,y@1,30,,none,0\n{line}\n", "s.csv")
    assert caught.value.message.startswith("line 3 of s.csv is not a score: ")
    assert problem in caught.value.message


@pytest.mark.parametrize("value", ["30.0", "31.5"])
def test_a_score_that_is_there_twice_is_refused_with_both_lines(value: str) -> None:
    line = "none,set5,a,psnr_y,y@1,{},,none,0\n"
    other = "none,set5,b,psnr_y,y@1,30.0,,none,0\n"
    with pytest.raises(SrkdError) as caught:
        from_csv(f"{OLD_HEAD}\n{line.format('30.0')}{other}{line.format(value)}", "s.csv")
    assert caught.value.message == "line 4 of s.csv repeats line 2"
    assert caught.value.hint


def test_scores_of_two_suites_in_one_file_are_refused() -> None:
    other = replace(SCORES[1], suite="demo" + SUITE.removeprefix("smoke"))
    for mixed in (other, replace(other, suite="")):
        with pytest.raises(SrkdError, match=r"mixes suites or settings: line 3 is of"):
            from_csv(written([SCORES[0], mixed]), "s.csv")


@pytest.mark.parametrize("text", ["", "\n", "a,b\n1,2\n", HEAD.replace("seed", "value"), "\ufeff", "sep=;"])
def test_another_table_is_refused(text: str) -> None:
    with pytest.raises(SrkdError, match=r"^s.csv is not a table of scores$"):
        from_csv(text, "s.csv")


def test_an_open_quote_is_refused() -> None:
    with pytest.raises(SrkdError, match=r"of s.csv is not a line of CSV"):
        from_csv(f'{OLD_HEAD}\nnone,set5,"a,psnr_y,y@1,30,,none,0\n', "s.csv")


def attempt(text: str) -> tuple[list[Score], str]:
    """Return the scores of a text, or why it was refused; any other exception is the test's failure."""
    try:
        return from_csv(text, "s.csv"), ""
    except SrkdError as error:
        return [], error.message


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@settings(derandomize=True, deadline=None, database=None, max_examples=200)
@given(model=names, image=names, value=st.floats(0, 200), seed=st.none() | st.integers(0, 2**32 - 1))
def test_any_name_is_written_visibly_and_read_back_unchanged(
    model: str, image: str, value: float, seed: int | None
) -> None:
    text = written([Score(model, "set5", image, "psnr_y", "y@1", value, method=model, seed=seed)])
    (score,) = from_csv(text, "s.csv")
    assert (score.value, score.seed) == (value, seed)
    assert score.model.strip()
    assert score.image.strip()
    assert written([score]) == text


@settings(derandomize=True, deadline=None, database=None, max_examples=500)
@given(data=st.data())
def test_a_broken_file_is_read_or_refused(data: st.DataObject) -> None:
    text = written(SCORES)
    for _ in range(data.draw(st.integers(0, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 30)))
        alphabet = st.sampled_from(
            [*",;\t\n\r\"'@.=-+0123456789einfa", "\0", "\ufeff", "\ud800", "\u2028", "٣"]
        )
        text = text[:start] + data.draw(st.text(alphabet, max_size=5)) + text[end:]
    scores, refusal = attempt(text)
    assert refusal.isprintable()
    assert ("s.csv" in refusal) != bool(scores or not refusal)
    places = {(one.model, one.seed, one.dataset, one.image, one.metric, one.protocol) for one in scores}
    assert len(places) == len(scores)
    assert not any(math.isnan(score.value) for score in scores)


@settings(derandomize=True, deadline=None, database=None, max_examples=200)
@given(text=st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    for content in (text, f"{HEAD}\n{text}"):
        _, refusal = attempt(content)
        assert refusal == "" or "s.csv" in refusal
