"""torch.compile: every method trains with it, and results do not depend on the other learners of the group."""

from functools import partialmethod
from pathlib import Path

import pytest
import torch
from torch import nn

from srkd_bench.methods import registry
from srkd_bench.training.contract.harness import TRAIN, trained
from srkd_bench.training.contract.random_encoder import completed
from tests.conftest import Srkd
from tests.support.tiny_suite import tiny_suite

COMPILED = TRAIN.model_copy(update={"compile": True})
METHODS = registry.names()


@pytest.fixture
def cheap_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile graphs as the default backend does, donated buffers among it, but write no C++ code of them."""
    torch.compiler.reset()
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend="aot_eager"))


@pytest.mark.usefixtures("cheap_backend")
@pytest.mark.parametrize("name", METHODS)
def test_every_method_learns_the_same_when_it_is_compiled(name: str) -> None:
    method = {name: completed(registry.build(name, {}))}
    compiled, plain = trained(method, train=COMPILED)[name], trained(method)[name]
    for weight, value in plain.weights.items():
        assert torch.allclose(compiled.weights[weight], value, atol=1e-4), weight


@pytest.mark.usefixtures("cheap_backend")
def test_compiled_learners_of_a_large_group_are_all_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch._dynamo.config.fail_on_recompile_limit_hit", True)
    methods = {name: completed(registry.build(name, {})) for name in METHODS}
    together = trained(methods, train=COMPILED)
    torch.compiler.reset()
    assert trained({"rvkd": methods["rvkd"]}, train=COMPILED)["rvkd"].equals(together["rvkd"])


@pytest.mark.parametrize("how", ["true", "reduce-overhead"])
def test_a_compiler_that_does_not_work_is_told_and_training_does_without_it(
    srkd: Srkd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    def fail(*words: object, **more: object) -> None:
        raise RuntimeError("No working C++ compiler found")

    torch.compiler.reset()
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend=fail))
    tiny_suite(tmp_path)
    words = ["distill", "-m", "hkd", "tiny.yaml", "--set"]
    code, table, err = srkd(*words, f"train.compile={how}")
    assert code == 0, err
    assert "torch.compile does not work on cpu: " in err
    assert "No working C++ compiler found" in err
    later = "--set train.compile=false --set teacher.train.compile=false"
    assert f"Training without it, which later commands find by {later}" in " ".join(err.split())
    assert "HKD" in table
    assert "2 of 2 networks are in the store" in srkd(*words, "train.compile=false")[2]
    search = ["tune", "tiny.yaml", "-m", "hkd", "--trials", "2", "--set", "data.validation=photos-valid"]
    code, _, err = srkd(*search, "--set", f"train.compile={how}")
    assert (code, "hint: --set train.compile=false" in err) == (1, True)


def test_the_default_backend_compiles_teacher_and_student(srkd: Srkd, tmp_path: Path) -> None:
    torch.compiler.reset()
    tiny_suite(tmp_path)
    code, _, err = srkd("distill", "-m", "hkd", "tiny.yaml", "--set", "train.compile=true")
    assert code == 0, err
