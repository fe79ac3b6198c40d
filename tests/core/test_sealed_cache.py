from pathlib import Path

import pytest
from pydantic import BaseModel

from srkd_bench.core.sealed_cache import SealedCache, code_digest


class Squares(BaseModel):
    found: dict[int, int] = {}


NINE = Squares(found={3: 9})


def cache_at(folder: Path, code: str = "first", *, readonly: bool = False) -> SealedCache[Squares]:
    return SealedCache(folder / "squares.json", Squares, code, readonly=readonly)


def test_written_content_is_read_back(tmp_path: Path) -> None:
    assert cache_at(tmp_path).read() == Squares()
    cache_at(tmp_path).write(NINE)
    assert cache_at(tmp_path).read() == NINE


def test_values_of_other_code_are_ignored(tmp_path: Path) -> None:
    cache_at(tmp_path).write(NINE)
    assert cache_at(tmp_path, "second").read() == Squares()


@pytest.mark.parametrize(
    ("old", "new"), [(b"9", b"8"), (b"}}", b"} }"), (b"}}", b""), (b"\n", b""), (b"{", b"\xff")]
)
def test_a_damaged_file_is_empty(tmp_path: Path, old: bytes, new: bytes) -> None:
    cache = cache_at(tmp_path)
    cache.write(NINE)
    content = cache.path.read_bytes()
    assert old in content
    cache.path.write_bytes(content.replace(old, new))
    assert cache.read() == Squares()


def test_a_sealed_file_of_another_type_is_empty(tmp_path: Path) -> None:
    class Words(BaseModel):
        words: list[str]

    SealedCache(tmp_path / "squares.json", Words, "first").write(Words(words=["nine"]))
    assert cache_at(tmp_path).read() == Squares()


def test_nothing_is_written_in_readonly_mode(tmp_path: Path) -> None:
    cache_at(tmp_path, readonly=True).write(NINE)
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_is_missing_or_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    cache_at(tmp_path / "missing").write(NINE)
    assert not [*tmp_path.iterdir()]
    (tmp_path / "squares.json").mkdir()
    cache_at(tmp_path).write(NINE)
    assert cache_at(tmp_path).read() == Squares()


def test_a_changed_or_renamed_source_file_changes_the_digest(tmp_path: Path) -> None:
    first, second = tmp_path / "a.py", tmp_path / "b.py"
    first.write_text("x = 1\n", encoding="utf-8")
    before = code_digest([first])
    second.write_text("x = 1\n", encoding="utf-8")
    assert code_digest([second]) != before
    first.write_text("x = 2\n", encoding="utf-8")
    assert code_digest([first]) != before
