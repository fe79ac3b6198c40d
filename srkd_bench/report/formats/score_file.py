"""Write and read scores as CSV, also compressed by gzip.

The reader accepts what spreadsheets and pandas do to a file (byte order mark, semicolons or tabs, decimal commas,
`0.0` for seed 0, other columns or another order), and nothing that would change what a score means.
"""

import csv
import gzip
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from io import BytesIO, StringIO
from pathlib import Path

from srkd_bench.config.metrics import METRICS
from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.core.units import size
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score, columns
from srkd_bench.report.tables.table import one_line

FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # what a spreadsheet computes instead of showing
COLUMNS = [column.name for column in fields(Score)]
OPTIONAL = {"suite", "teacher_seed"}  # absent from files of older versions and of suites with one teacher
CELL = "cell"  # the column of a grid's cells
IDENTITY = ("model", "seed", "teacher_seed", "dataset", "image", "metric", "protocol", "suite")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
SEED = re.compile(r"(\d{1,10})(\.0*)?", re.ASCII)
SUITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}@[0-9a-f]{20}")
MOST = 1000.0  # no 8-bit image has a greater PSNR
MOST_BYTES = 2**29  # of the text in a compressed file
GZIP = b"\x1f\x8b"  # how a compressed file begins
ANOTHER = "`srkd report -o scores.csv` writes a file of scores again"


def to_csv(results: Results) -> str:
    """Return a line a score, its columns named as the fields of `Score`; None is empty, infinity is `inf`.

    The column `teacher_seed` is there only if a score has one.

    A name is one printable line, as in the tables. Before one that begins like a formula stands an apostrophe:
    images are named by who made the data set, and people open CSV in spreadsheets. JSON has names as they are.
    """
    names = columns(results.scores)
    return table(names, ([getattr(score, name) for name in names] for score in results.scores))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a text of CSV; names are written as `to_csv` describes."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_shown(value) for value in row] for row in rows)
    return text.getvalue()


def compressed(text: str) -> bytes:
    """Return a text compressed by gzip; the same text gives the same bytes, since no time is stored."""
    return gzip.compress(text.encode(), mtime=0)


def read_scores(path: Path) -> list[Score]:
    """Return the scores of a file that `srkd report -o FILE.csv` or `-o FILE.csv.gz` wrote.

    Raises:
        MissingError: there is no such file.
        SrkdError: it cannot be read, or `from_csv` refuses its text.
    """
    return from_csv(read_text(path), path.name)


def read_text(path: Path) -> str:
    """Return the text of a file, which may be compressed.

    Raises:
        MissingError: there is no such file.
        SrkdError: it cannot be read.
    """
    try:
        content = path.read_bytes()
        return (_expanded(content, path) if content.startswith(GZIP) else content).decode()
    except FileNotFoundError:
        raise MissingError(f"no file '{path}'", "srkd report -o scores.csv writes one") from None
    except UnicodeError:
        raise SrkdError(f"cannot read {path}: it is not UTF-8 text", "save it as CSV UTF-8") from None
    except OSError as error:
        raise SrkdError(f"cannot read {path}: {error.strerror}") from None


def from_csv(text: str, name: str) -> list[Score]:
    """Return the scores of a text that `to_csv` wrote, also after pandas or a spreadsheet has saved it.

    Args:
        name: of its file, for errors.
    Raises:
        SrkdError: it is another table, a line is not a score or repeats another, or lines are of several suites.
    """
    scores: list[Score] = []
    for line in lines(text, name):
        if CELL in line.more:
            raise SrkdError(f"{name} has the scores of a grid of suites", f"srkd report --from {name}")
        scores.append(line.score)
    return scores


@dataclass(frozen=True)
class Line:
    """A line of a file.

    Args:
        more: the texts in columns that are no fields of a score.
    """

    number: int
    score: Score
    more: dict[str, str]


def lines(text: str, name: str) -> Iterator[Line]:
    """Yield the lines of a text that `to_csv` wrote, or the same with more columns.

    Lines of different cells, as the column `cell` names them, may be of different suites.

    Raises:
        SrkdError: as `from_csv`.
    """
    seen, suites = dict[tuple[object, ...], int](), dict[str, str]()
    for number, values, commas in _rows(text, name):
        try:
            score = _score(values, commas)
        except ValueError as error:
            raise SrkdError(f"line {number} of {name} is not a score: {error}", ANOTHER) from None
        more = {column: value for column, value in values.items() if column not in COLUMNS}
        if commas:
            more = {column: _with_point(value) for column, value in more.items()}
        cell = more.get(CELL, "")
        key = (cell, *(getattr(score, column) for column in IDENTITY))
        if (first := seen.setdefault(key, number)) != number:
            raise SrkdError(f"line {number} of {name} repeats line {first}", "keep one of them")
        if (other := suites.setdefault(cell, score.suite)) != score.suite:
            own, other = (one or "an unknown suite" for one in (score.suite, other))
            raise SrkdError(
                f"{name} mixes suites or settings: line {number} is of {own}, the lines before it of {other}",
                "keep the scores of each suite in a file of their own",
            )
        yield Line(number, score, more)


def _expanded(content: bytes, path: Path) -> bytes:
    """Return what a gzip file holds; a small file can expand to more than the memory, so its size is limited."""
    try:
        with gzip.open(BytesIO(content)) as file:
            text = file.read(MOST_BYTES + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise SrkdError(f"cannot read {path}: its compressed content is damaged", ANOTHER) from None
    if len(text) > MOST_BYTES:
        raise SrkdError(f"cannot read {path}: it expands to more than {size(MOST_BYTES)}")
    return text


def _rows(text: str, name: str) -> Iterator[tuple[int, dict[str, str], bool]]:
    """Yield the number of each line, its values by column, and whether it may hold decimal commas."""
    text = text.removeprefix("\ufeff")
    skipped = 0
    if text[:4].lower() == "sep=":  # Excel's own first line
        text, skipped = text.partition("\n")[2], 1
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [column.strip() for column in next(reader, [])]
        header = [column.lower() if column.lower() in (*COLUMNS, CELL) else column for column in header]
        known = [column for column in header if column in COLUMNS]
        if len(set(known)) < len(known) or not {*COLUMNS} - OPTIONAL <= {*known}:
            hint = f"`srkd report -o scores.csv` writes one with the columns {', '.join(columns([]))}"
            raise SrkdError(f"{name} is not a table of scores", hint)
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            line = reader.line_num + skipped
            if len(values) != len(header):
                found = f"{len(values)} fields instead of {len(header)}"
                raise SrkdError(f"line {line} of {name} is not a score: {found}", ANOTHER)
            pairs = zip(header, values, strict=True)
            yield line, {column: _read(value) for column, value in pairs}, delimiter != ","
    except csv.Error as error:
        line = reader.line_num + skipped
        raise SrkdError(f"line {line} of {name} is not a line of CSV: {error}", ANOTHER) from None


def _score(texts: dict[str, str], commas: bool) -> Score:
    """Return the score of a line; a ValueError says what is wrong with it."""
    for column in ("model", "dataset", "image", "protocol"):
        if not texts[column].strip():
            raise ValueError(f"no {column} (pandas drops names such as NA without keep_default_na=False)")
    metric, suite = texts["metric"].strip(), texts.get("suite", "").strip()
    if metric not in METRICS:
        raise ValueError(f"no metric named {_quoted(metric)}")
    if suite and not SUITE.fullmatch(suite):
        raise ValueError(f"{_quoted(suite)} names no suite and its settings")
    value, *seeds = (texts.get(column, "").strip() for column in ("value", "seed", "teacher_seed"))
    if commas:
        value, *seeds = (text.replace(",", ".") for text in (value, *seeds))
    seed, teacher_seed = (_seed(text) if text else None for text in seeds)
    return Score(
        model=texts["model"],
        dataset=texts["dataset"],
        image=texts["image"],
        metric=metric,
        protocol=texts["protocol"].strip(),
        value=_value(value, METRICS[metric].unit),
        run=texts["run"].strip(),
        method=texts["method"] or None,
        seed=seed,
        suite=suite,
        teacher_seed=teacher_seed,
    )


def _value(text: str, unit: str) -> float:
    """Return a score: finite, or `inf` in dB, where SR equals HR."""
    if unit and text.lower() in ("inf", "+inf"):
        return math.inf
    if not NUMBER.fullmatch(text) or not math.isfinite(value := float(text)):
        raise ValueError(f"{_quoted(text)} is not a finite number")
    if abs(value) > MOST:
        raise ValueError(f"{_quoted(text)} is out of range; was a decimal point lost?")
    return value


def _with_point(text: str) -> str:
    """Return a number with a point instead of its decimal comma, and any other text as it is."""
    number = text.strip().replace(",", ".")
    return number if NUMBER.fullmatch(number) else text


def _seed(text: str) -> int:
    if not (found := SEED.fullmatch(text)) or int(found[1]) >= 2**32:
        raise ValueError(f"{_quoted(text)} is not a seed")
    return int(found[1])


def _quoted(text: str) -> str:
    return ascii(text if len(text) <= 40 else f"{text[:40]}...")


def _read(text: str) -> str:
    """Return what `_shown` was given."""
    return text[1:] if text.startswith("'") and text[1:].lstrip().startswith(FORMULA) else text


def _shown(value: object) -> object:
    if not isinstance(value, str):
        return value
    line = one_line(value)
    return f"'{line}" if line.lstrip().startswith(FORMULA) else line
