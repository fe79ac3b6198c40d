import shlex
from pathlib import Path

import pytest

from tests.conftest import Srkd


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("distill --method ckdd", 1, "hint: did you mean 'ckd'?"),
        ("run demmo", 1, "hint: did you mean 'demo'?"),
        ("run --set train.stepps=3", 1, "hint: did you mean 'steps'?"),
        ("run --set params.ckd.wieght=3", 1, "hint: did you mean 'weight'?"),
        (
            "run --set params.ckd.weight=-1",
            1,
            "params.ckd.weight: must be at least 0, not -1",
        ),
        ("run --set data.train=bsds50", 1, "hint: did you mean 'bsds500'?"),
        ("run --set data.test=[set55]", 1, "hint: did you mean 'set5'?"),
        ("run bsds", 3, "hint: srkd download bsds500 div2k-valid set5 set14 bsd100 urban100"),
        ("run --set train.batch=1", 1, "ckd compares the images of a batch"),
        ("run --set train.patch=200", 1, "larger than image"),
        ("run --set train.precision=fp16", 1, "hint: --set train.precision=bf16"),
        ("run --set train.precision=tf32", 1, "error: precision tf32 needs a CUDA device"),
        ("run --device cuda:7", 1, "device 'cuda:7' is not here"),
        ("run --set teacher.weights=nowhere.pt", 3, "no weights file 'nowhere.pt'"),
        ("compare hkd none --teacher nowhere.pt", 3, "no weights file 'nowhere.pt'"),
        ("crops -o crops.png --teacher nowhere.pt", 3, "no weights file 'nowhere.pt'"),
        ("tune --teacher nowhere.pt", 3, "no weights file 'nowhere.pt'"),
        ("run bsds --suite demo", 1, "error: two suites are given: bsds and demo"),
        ("download set55", 1, "hint: did you mean 'set5'?"),
        ("download set5 --from empty", 3, "no images"),
        ("evaluate --model bicubic --datasets set5", 3, "hint: srkd download set5"),
        ("evaluate --model bicubic", 1, "hint: --datasets set5,set14"),
        ("report -o table.pdf", 1, "no report format for 'table.pdf'"),
        ("report -f htm", 1, "hint: did you mean 'html'?"),
        ("show 0123456789", 3, "hint: srkd ls runs"),
        ("distill", 2, "Missing option"),
    ],
)
def test_bad_input_gets_one_clear_error_before_any_work(
    srkd: Srkd, tmp_path: Path, command: str, code: int, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    got, text, messages = srkd(*shlex.split(command))
    assert (got, text) == (code, "")
    assert message in " ".join(messages.split())
    assert "Traceback" not in messages
    assert not (tmp_path / "home" / "runs").exists()
