"""Untrusted files: valid ones, damaged in a few places. `fuzz.py` runs longer."""

import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import fuzz

NUMBERS = [0, 1, 127, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1]
bounded = partial(
    settings, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@cache
def seeds(name: str) -> list[bytes]:
    return fuzz.seeds(name)


@cache
def door(name: str) -> fuzz.Door:
    return fuzz.door(name)


@st.composite
def broken(draw: Callable[..., int], name: str) -> bytes:
    """Draw a valid file with up to five random modifications."""

    def place(data: bytes) -> int:
        return draw(st.integers(0, len(data)))

    def another() -> bytes:
        return seeds(name)[draw(st.integers(0, len(seeds(name)) - 1))]

    data = another()
    for _ in range(draw(st.integers(0, 5))):
        at, deed = place(data), draw(st.integers(0, 6))
        if deed <= 1 and at < len(data):
            data = data[:at] + bytes([data[at] ^ draw(st.integers(1, 255))]) + data[at + 1 :]
        elif deed == 2:  # a number that means a size, a place or a count
            size, number = draw(st.sampled_from([1, 2, 4, 8])), draw(st.sampled_from(NUMBERS))
            order = draw(st.sampled_from(["little", "big"]))
            written = (number % 256**size).to_bytes(size, order)
            data = data[:at] + written + data[at + size :]
        elif deed == 3:
            data = data[:at]
        elif deed == 4:
            other = another()
            data = data[:at] + other[place(other) :]
        elif deed == 5:
            data = data[:at] + data[place(data) :]
        else:
            data = data[:at] + data[place(data) : at] * draw(st.integers(1, 9)) + data[at:]
    return data[:50_000]


def knock(name: str, data: bytes, folder: Path) -> None:
    began = time.monotonic()
    with fuzz.within(megabytes=1000):
        door(name)(data, folder)
    assert time.monotonic() - began < 20


@bounded(max_examples=250)
@given(data=broken("suites"))
def test_a_suite_is_read_or_refused(data: bytes, folder: Path) -> None:
    knock("suites", data, folder)


@bounded(max_examples=200)
@given(data=broken("weights"))
def test_weights_are_loaded_or_refused(data: bytes, folder: Path) -> None:
    knock("weights", data, folder)


@bounded(max_examples=600)
@given(data=broken("images"))
def test_an_image_is_read_or_refused(data: bytes, folder: Path) -> None:
    knock("images", data, folder)


@bounded(max_examples=400)
@given(data=broken("archives"))
def test_an_archive_is_read_or_refused(data: bytes, folder: Path) -> None:
    knock("archives", data, folder)


@bounded(max_examples=100)
@given(data=st.binary(max_size=300))
@pytest.mark.parametrize("name", fuzz.DOORS)
def test_noise_is_refused(name: str, data: bytes, folder: Path) -> None:
    knock(name, data, folder)


@pytest.mark.parametrize("name", fuzz.DOORS)
def test_most_fuzzing_seeds_are_valid(name: str, folder: Path) -> None:
    found = [door(name)(data, folder) for data in seeds(name)]
    assert found.count(True) >= len(found) / 2
