import threading
from collections.abc import Iterator

import pytest

from srkd_bench.core.parallel import in_order


def test_results_are_in_the_order_of_the_items() -> None:
    second_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_is_done.wait(10)  # so the second overtakes the first
        elif item == 1:
            second_is_done.set()
        return item * item

    assert list(in_order(work, range(5), threads=2)) == [0, 1, 4, 9, 16]


def test_no_more_items_are_started_than_can_be_held() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(100):
            taken += 1
            yield item

    results = in_order(lambda item: item, items(), threads=3)
    for done in range(1, 20):
        next(results)
        assert taken <= done + 3
    results.close()
    assert taken < 100


def test_an_error_is_raised_at_its_position_and_ends_the_work() -> None:
    results = in_order(lambda item: 1 / (2 - item), iter(range(50)), threads=2)
    assert [next(results), next(results)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []
