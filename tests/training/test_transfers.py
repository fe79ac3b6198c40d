from dataclasses import dataclass, field

import pytest
import torch

from srkd_bench.training.transfers import Reading, Readout, settle, upload


@dataclass
class Reader:
    unread: list[Reading] = field(default_factory=list)
    told: list[list[float]] = field(default_factory=list)

    def compute(self, *values: float) -> None:
        self.unread.append(Reading(torch.tensor(values), self.told.append))


def test_values_are_delivered_a_step_later_in_order_and_all_at_the_end() -> None:
    readout, one, other = Readout(), Reader(), Reader()
    one.compute(1, 2)
    other.compute(3)
    readout.step([one, other])
    assert not one.told
    one.compute(4)
    other.compute(5, 6)
    readout.step([one, other])
    assert (one.told, other.told) == ([[1, 2]], [[3]])
    readout.finish([one, other])
    assert (one.told, other.told) == ([[1, 2], [4]], [[3], [5, 6]])
    readout.finish([one, other])
    assert len(one.told) == 2


def test_values_that_were_not_copied_yet_follow_those_that_were() -> None:
    readout, one = Readout(), Reader()
    one.compute(1)
    readout.step([one])
    one.compute(2)
    readout.finish([one])
    assert one.told == [[1], [2]]


def test_all_learners_values_are_one_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    copies: list[int] = []
    tolist = torch.Tensor.tolist

    def read(self: torch.Tensor) -> object:
        copies.append(len(self))
        return tolist(self)

    monkeypatch.setattr(torch.Tensor, "tolist", read)
    readers = [Reader() for _ in range(5)]
    for reader in readers:
        reader.compute(1, 2, 3)
    settle(*readers)
    assert copies == [15]
    assert all(reader.told == [[1, 2, 3]] for reader in readers)


def test_batches_keep_their_values_on_the_device() -> None:
    images = torch.rand(2, 3, 4, 4)
    assert torch.equal(upload(images, torch.device("cpu")), images)
    assert upload(images, torch.device("meta")).device.type == "meta"
