import json
from pathlib import Path

import pytest

from tests.conftest import Srkd


def test_distill_trains_the_chosen_methods_and_the_teacher(srkd: Srkd) -> None:
    code, text, messages = srkd("distill", "tiny.yaml", "--method", "ckd", "-m", "none", "--json")
    assert code == 0
    rows = json.loads(text)["scores"]
    assert {row["model"] for row in rows} == {"bicubic", "teacher", "ckd", "none"}
    assert {(row["method"], row["seed"]) for row in rows if row["model"] == "ckd"} == {("ckd", 0)}
    assert "Training 2 students, seed 0: ckd, none" in messages


def test_every_run_has_events_and_a_card(srkd: Srkd, tmp_path: Path) -> None:
    srkd("distill", "tiny.yaml", "--method", "hkd")
    (run,) = [
        path
        for path in (tmp_path / "home" / "runs").iterdir()
        if "hkd" in (path / "artifact.json").read_text(encoding="utf-8")
    ]
    events = [json.loads(line) for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [event["step"] for event in events] == list(range(10))
    assert set(events[3]["terms"]) == {"rec", "hkd"}
    assert 0 < events[3]["share"] < 100
    card = json.loads((run / "card.json").read_text(encoding="utf-8"))
    assert {"srkd", "torch", "machine", "command", "seconds"} <= set(card)
    code, shown, _ = srkd("show", run.name[:8])
    assert code == 0
    assert "photos-test" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["distill", "-m", "hkd", "-m", "hkd"], "methods: hkd is listed twice"),
        (["distill", "-m", "rkd+hkd", "-m", "hkd+rkd"], "methods: rkd+hkd and hkd+rkd are the same"),
        (["evaluate", "--datasets", "photos-test,photos-test"], "data.test: photos-test is listed twice"),
        (
            ["evaluate", "--model", "bicubic", "--datasets", "photos-test,photos-test"],
            "--datasets: photos-test is listed twice",
        ),
    ],
)
def test_a_list_with_duplicates_on_the_command_line_is_rejected(
    srkd: Srkd, words: list[str], message: str
) -> None:
    suite = [] if "--model" in words else ["tiny.yaml"]
    code, out, err = srkd(*words, *suite)
    assert (code, out) == (1, "")
    assert message in err
