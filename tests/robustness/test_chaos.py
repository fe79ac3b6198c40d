from tests.chaos import PHASES, chaos


def test_a_run_killed_repeatedly_equals_an_uninterrupted_run() -> None:
    """`python -m tests.chaos --kills 50` does the same at length."""
    told = chaos(6, 20, 0, ["train.steps=60", "teacher.train.steps=60"])
    assert told["kills"] == 6
    assert sum(told["landed"][phase] > 0 for phase in PHASES) >= 3
    assert (told["lost"], told["stores with faults"], told["left after gc"]) == (0, 0, 0)
    assert told["files compared"] >= 28
    assert sum(told["faults injected"].values()) >= 10
    assert told["faults not found"] == 0
