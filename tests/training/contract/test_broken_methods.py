"""Intentionally broken methods: the contract reports the fault, its line and a hint."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

from srkd_bench.core.errors import SrkdError
from srkd_bench.methods import registry
from srkd_bench.training.contract import checks
from tests.conftest import Srkd
from tests.support.encoder_files import encoder_file

WHOLE = '''"""Whole."""

import random
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from srkd_bench.method import Losses, Method, Step, Weight


@dataclass(frozen=True)
class Whole(Method):
    """It keeps the contract."""

    kind = "feature"
    source = "nobody"
    taps = (0.5,)
    never_zero = "the student's features pass through a convolution"

    weight: Weight = 1.0

    def adapter(self, teacher, student, lr):
        guided, hint = (one(lr[:1], self.taps).feats[0.5] for one in (student, teacher))
        adapter = nn.Conv2d(guided.shape[1], hint.shape[1], 1)
        return adapter

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        guided = adapter(step.student.feats[0.5])
        hint = step.teacher.feats[0.5]
        loss = F.mse_loss(guided, hint)
        return {
            "rec": step.rec,
            "broken": self.weight * loss,
        }
'''

CROSSED = "loss = F.mse_loss(guided, hint)"
KEY = '"broken": self.weight * loss'

# The original and the changed code; then the failing check, its message, the line that it names, and its hint.
BROKEN = {
    "undeclared_features": (
        ("taps = (0.5,)", 'taps = (0.5,)\n    needs = ("sr", "network")'),
        "Only what `needs` and `resumes` name",
        "losses() uses the teacher's features, which needs does not name",
        "def losses",
        "add 'features' to needs",
    ),
    "detached_loss": (
        ("self.weight * loss", "self.weight * torch.tensor(loss.item())"),
        "Every term gives the student",
        "term 'broken' gives the student no gradient",
        '"broken": self.weight * torch.tensor(loss.item())',
        "do not use detach(), item(), torch.tensor(...) or no_grad() between",
    ),
    "detached_student": (
        ("adapter(step.student.feats[0.5])", "adapter(step.student.feats[0.5].detach())"),
        "Every term gives the student",
        "term 'broken' gives the student no gradient",
        KEY,
        "do not use detach(), item(), torch.tensor(...) or no_grad() between",
    ),
    "in_place": (
        ("hint = step.teacher.feats[0.5]", "hint = step.teacher.feats[0.5]\n        hint += 1"),
        "Images and features that other methods share",
        "losses() changes the teacher's features at 0.5 in place",
        "def losses(self, step: Step, adapter: nn.Module) -> Losses:",
        "write x = x + y, not x += y",
    ),
    "teacher_trained": (
        ("        return adapter\n", "        adapter.teacher = teacher\n        return adapter\n"),
        "The teacher gets no gradient",
        "the teacher is trained: its weights are in the adapter",
        "adapter.teacher = teacher",
        "keep the teacher out of the adapter",
    ),
    "teacher_moved": (
        ("hint = step", "self.__dict__['teacher'].train()\n        hint = step"),
        "The teacher gets no gradient",
        "losses() changes the teacher's weights or its mode",
        "def losses(self, step: Step, adapter: nn.Module) -> Losses:",
        "keep the teacher out of the adapter",
    ),
    "adapter_exported": (
        ("        return adapter\n", "        student.regressor = adapter\n        return adapter\n"),
        "Modules trained beside the student",
        "'regressor.weight' would be exported with the student",
        "student.regressor = adapter",
        "set nothing on the student",
    ),
    "global_random_state": (
        ("hint = step", "noise = torch.rand_like(guided)\n        hint = step"),
        "The losses do not use the global random state",
        "losses() draws from global random numbers",
        "def losses(self, step: Step, adapter: nn.Module) -> Losses:",
        "generator=step.generator",
    ),
    "pythons_random_state": (
        ("hint = step", "noise = random.random()\n        hint = step"),
        "The losses do not use the global random state",
        "losses() draws from global random numbers",
        "def losses(self, step: Step, adapter: nn.Module) -> Losses:",
        "generator=step.generator",
    ),
    "wrong_shape": (
        ("F.mse_loss(guided, hint)", "(step.student.feats[0.5] - hint).square().mean()"),
        "Adapter and losses run",
        "RuntimeError: The size of tensor a (4) must match the size of tensor b (6)",
        "loss = (step.student.feats[0.5] - hint).square().mean()",
        "let the adapter bring them together",
    ),
    "broadcast_shape": (
        ("F.mse_loss(guided, hint)", "F.mse_loss(guided, hint.mean((2, 3), keepdim=True))"),
        "Adapter and losses run",
        "UserWarning: Using a target size",
        "loss = F.mse_loss(guided, hint.mean((2, 3), keepdim=True))",
        "",
    ),
    "no_number": (
        ("F.mse_loss(guided, hint)", "F.mse_loss(guided, hint, reduction='none')"),
        "Every term is one finite number",
        "term 'broken' has shape (4, 6, 8, 8), not ()",
        KEY,
        "take a mean",
    ),
    "not_a_number": (
        ("F.mse_loss(guided, hint)", "(guided - hint).sum() / 0 * 0"),
        "Every term is one finite number",
        "term 'broken' is nan",
        KEY,
        "clamp what is divided by",
    ),
    "another_rec": (
        ('"rec": step.rec', '"rec": 2 * step.rec'),
        "The loss against HR appears exactly once",
        "the term 'rec' is not step.rec",
        '"rec": 2 * step.rec,',
        'return "rec": step.rec',
    ),
    "not_zero": (
        ('never_zero = "the student\'s features pass through a convolution"', "pass"),
        "A student that equals its teacher has zero distillation loss",
        "for a student that equals its teacher",
        KEY,
        "never_zero",
    ),
    "no_bounds": (
        ("weight: Weight = 1.0", "weight: float = 1.0"),
        "Every hyper-parameter can be set",
        "hyper-parameter 'weight' may be 1000000000000.0",
        "weight: float = 1.0",
        "Annotated[float, Field(ge=0, le=1)]",
    ),
    "one_image": (
        ("F.mse_loss(guided, hint)", "F.mse_loss(guided, hint) / (len(guided) - 1)"),
        "It works on its smallest batch",
        "with a batch of 1: term 'broken' is inf",
        KEY,
        "write min_batch = 2",
    ),
    "half_precision": (
        ("self.weight * loss", "self.weight * loss.half()"),
        "Every term is one finite number",
        "term 'broken' is torch.float16",
        '"broken": self.weight * loss.half()',
        "in float32",
    ),
    "keeps_a_count": (
        (
            "loss = F.mse_loss(guided, hint)",
            "adapter.count = getattr(adapter, 'count', 0) + 1\n"
            "        loss = adapter.count * F.mse_loss(guided, hint)",
        ),
        "Interrupted training resumes",
        "training differs after an interruption",
        "def losses(self, step: Step, adapter: nn.Module) -> Losses:",
        "register_buffer",
    ),
    "ignores_the_resumed": (
        (CROSSED, "crossed = step.teacher.resume(0.5, guided)\n        loss = F.mse_loss(guided, hint)"),
        "Resumed networks give the student a gradient",
        "no term gives the SR of a resumed network a gradient",
        "crossed = step.teacher.resume(0.5, guided)",
        "compare its SR in a term",
    ),
    "resumes_without_gradient": (
        (
            CROSSED,
            "with torch.no_grad():\n            crossed = step.resume(0.5, step.student.feats[0.5])\n"
            "        loss = F.mse_loss(guided, hint) + crossed.mean()",
        ),
        "Resumed networks give the student a gradient",
        "a network is resumed without gradient",
        "crossed = step.resume(0.5, step.student.feats[0.5])",
        "outside no_grad()",
    ),
    "resumes_from_detached_features": (
        (
            CROSSED,
            "crossed = step.resume(0.5, step.student.feats[0.5].detach())\n        loss = crossed.mean()",
        ),
        "Resumed networks give the student a gradient",
        "a network is resumed from features that give the student no gradient",
        "crossed = step.resume(0.5, step.student.feats[0.5].detach())",
        "without detach()",
    ),
    "resumes_from_the_teachers_features": (
        (
            CROSSED,
            "crossed = step.teacher.resume(0.5, adapter.bias.view(1, -1, 1, 1) + hint)\n"
            "        loss = F.mse_loss(guided, hint) + crossed.mean()",
        ),
        "Resumed networks give the student a gradient",
        "a network is resumed from features that give the student no gradient",
        "crossed = step.teacher.resume(0.5, adapter.bias.view(1, -1, 1, 1) + hint)",
        "from what is computed from step.student.feats",
    ),
    "teacher_resumed_with_gradient": (
        (CROSSED, "loss = self.__dict__['teacher'].resume(0.5, guided, step.lr).square().mean()"),
        "The teacher gets no gradient",
        "a loss gives the teacher a gradient",
        "self.__dict__['teacher'] = teacher",
        "step.teacher has its output and features, and resumes it with frozen weights",
    ),
    "resumes_without_the_network": (
        (
            "hint = step.teacher.feats[0.5]\n        loss = F.mse_loss(guided, hint)",
            "crossed = step.teacher.resume(0.5, guided)\n        loss = F.mse_loss(crossed, step.teacher.sr)",
        ),
        "Only what `needs` and `resumes` name",
        "losses() uses the teacher's network, which needs does not name",
        "def losses",
        "add 'network' to needs",
    ),
    "resumes_undeclared": (
        (CROSSED, "loss = F.mse_loss(step.teacher.resume(0.5, guided), step.teacher.sr)"),
        "Only what `needs` and `resumes` name",
        "the teacher is resumed",
        "loss = F.mse_loss(step.teacher.resume(0.5, guided), step.teacher.sr)",
        "write resumes = ('teacher',)",
    ),
    "asks_twice": (
        (
            "hint = step.teacher.feats[0.5]",
            "hint = step.teacher.see(step.lr).feats[0.5] + step.teacher.feats[0.5]",
        ),
        "The batch needs at most one teacher forward pass",
        "2 teacher forward passes for one batch",
        "def losses(self, step: Step, adapter: nn.Module) -> Losses:",
        "see() is for other images",
    ),
}


AFTER = """
    def after_step(self, adapter, student, done, steps):
        {}
"""


def after_step(code: str) -> tuple[str, str]:
    """Return the change that adds a function `after_step`."""
    return WHOLE, WHOLE + AFTER.format(code)


BROKEN |= {
    "changes_the_student_afterwards": (
        after_step("student.tail[-1].bias.add_(1)"),
        "Modules trained beside the student are separate",
        "after_step() changes the student",
        "student.tail[-1].bias.add_(1)",
        "change the adapter only",
    ),
    "keeps_the_student_itself": (
        after_step("adapter.weight.data = student.head[0].weight.data"),
        "Modules trained beside the student are separate",
        "the adapter's 'weight' is a weight of the student",
        "adapter.weight.data = student.head[0].weight.data",
        "copy.deepcopy",
    ),
    "draws_afterwards": (
        after_step("adapter.bias.add_(torch.randn(1))"),
        "The losses do not use the global random state",
        "after_step() draws from global random numbers",
        "def after_step",
        "in losses(): torch.rand(..., generator=step.generator)",
    ),
    "counts_in_an_attribute": (
        after_step(
            "adapter.__dict__['calls'] = adapter.__dict__.get('calls', 0) + 1\n"
            "        adapter.bias.add_(adapter.__dict__['calls'])"
        ),
        "Interrupted training resumes",
        "training differs after an interruption",
        "def losses",
        "must be a parameter or buffer of the adapter",
    ),
}


BROKEN["encoder_of_any_name"] = (
    ("weight: Weight = 1.0", 'weight: Weight = 1.0\n    space: str = ""'),
    "Every hyper-parameter can be set",
    "hyper-parameter 'space' may be '-'",
    'space: str = ""',
    "",
)


def written(folder: Path, name: str, change: tuple[str, str]) -> Path:
    assert change[0] in WHOLE
    path = folder / f"{name}.py"
    text = WHOLE.replace(*change)
    if name == "resumes_without_the_network":
        text = text.replace("taps = (0.5,)", 'taps = (0.5,)\n    needs = ("sr", "features")')
    if name in ("teacher_moved", "teacher_resumed_with_gradient"):
        text = text.replace(
            "adapter = nn.Conv2d", "self.__dict__['teacher'] = teacher\n        adapter = nn.Conv2d"
        )
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_method_gets_its_line_and_a_hint(name: str, tmp_path: Path) -> None:
    change, check, problem, line, hint = BROKEN[name]
    path = written(tmp_path, name, change)
    (broken,) = (one for one in checks.CHECKS if one.startswith(check))
    with pytest.raises(checks.Broken) as caught:
        checks.CHECKS[broken](checks.subject(str(path)))
    assert problem in caught.value.problem
    number = 1 + next(
        i
        for i, text in enumerate(path.read_text(encoding="utf-8").splitlines())
        if text.strip().startswith(line)
    )
    assert caught.value.place.startswith(f"{name}.py, line {number}: {line}")
    assert hint in caught.value.hint


USES_ENCODER = """
        encoder = load_encoder(self.space, step.hr.device)
        with torch.no_grad():
            hint = encoder(step.teacher.sr)[0]
        loss = F.mse_loss(encoder(step.student.sr)[0], hint)
"""


def with_encoder(folder: Path, *changes: tuple[str, str]) -> checks.Subject:
    text = WHOLE.replace("weight: Weight = 1.0", 'weight: Weight = 1.0\n    space: EncoderFile = ""')
    text = text.replace("import Losses", "import EncoderFile, load_encoder, Losses")
    text = text.replace("taps = (0.5,)", 'needs = ("sr",)').replace(
        "one(lr[:1], self.taps).feats[0.5]", "one"
    )
    start, end = text.index("        guided, hint"), text.index("    def losses")
    text = text[:start] + "        return nn.Module()\n\n" + text[end:]
    start, end = text.index("        guided = adapter"), text.index("        return {")
    text = text[:start] + USES_ENCODER.lstrip("\n") + text[end:]
    for change in changes:
        assert change[0] in text
        text = text.replace(*change)
    (folder / "encoded.py").write_text(text, encoding="utf-8")
    file = encoder_file(folder / "encoder.pt2")
    return checks.subject(str(folder / "encoded.py"), {"encoded": {"space": str(file)}})


def test_a_method_that_compares_features_of_an_encoder_fulfils_the_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRKD_TRUST", "1")
    subject = with_encoder(tmp_path)
    for title, check in checks.CHECKS.items():
        if not title.startswith("Time"):
            check(subject)


@pytest.mark.parametrize(
    ("change", "check", "problem"),
    [
        (("student.sr)[0]", "student.sr.detach())[0]"), "Every term gives the student", "no gradient"),
        (("encoder(step.teacher.sr)", "encoder(step.hr)"), "The batch needs", "the teacher is never used"),
    ],
)  # fmt: skip
def test_a_method_that_misuses_an_encoder_is_reported(
    change: tuple[str, str], check: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRKD_TRUST", "1")
    subject = with_encoder(tmp_path, change)
    (broken,) = (one for one in checks.CHECKS if one.startswith(check))
    with pytest.raises(checks.Broken, match=problem):
        checks.CHECKS[broken](subject)


def test_an_encoder_that_does_not_fit_the_checks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRKD_TRUST", "1")
    file = encoder_file(tmp_path / "fixed.pt2", nn.Conv2d(3, 2, 1), fixed=True)
    (verdict,) = checks.examine(checks.subject("ckd", {"ckd": {"space": str(file)}}))
    assert "/fixed.pt2' cannot be applied to 4×3×16×16 images: " in verdict.problem
    file = encoder_file(tmp_path / "one.pt2", nn.Conv2d(3, 2, 1))
    (verdict,) = checks.examine(checks.subject("dckd", {"dckd": {"encoder": str(file)}}))
    assert verdict.problem.startswith("dckd needs an encoder that returns feature maps")
    assert "mapping=0" in verdict.hint


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ('fuses = "all"', "fuses is 'all'"),
        ("fuses = True\n    looks = False", "it fuses several teachers, but uses none"),
        ('resumes = "teacher"', "resumes is 'teacher'"),
        ('resumes = ("pupil",)', "resumes is"),
        ('resumes = ("teacher",)\n    needs = ("sr",)', "it resumes the teacher, which needs does not name"),
        ("stacks = 1", "stacks is 1"),
        ("stacks = True", "it uses features at taps"),
        ("stacks = True\n    taps = ()", "it uses an adapter"),
    ],
)
def test_a_declaration_that_contradicts_another_is_refused(
    attributes: str, problem: str, tmp_path: Path
) -> None:
    path = written(tmp_path, "fusing", ("taps = (0.5,)", f"taps = (0.5,)\n    {attributes}"))
    with pytest.raises(SrkdError, match=problem) as caught:
        checks.subject(str(path))
    assert re.search(r"fusing\.py, line \d+: ", caught.value.message)
    assert caught.value.hint


def test_the_unbroken_method_fulfils_the_contract(tmp_path: Path) -> None:
    (tmp_path / "whole.py").write_text(WHOLE, encoding="utf-8")
    verdicts = list(checks.examine(checks.subject(str(tmp_path / "whole.py"))))
    assert [verdict.check for verdict in verdicts] == list(checks.CHECKS)
    assert [verdict.problem for verdict in verdicts if verdict.problem] == []
    assert re.fullmatch(
        r"\d+ ms, \d+\.\d\d × none, .*; \d+\.\d MB .*, \d\.\d\d × none; 544 weights beside .*",
        verdicts[-1].note,
    )


def test_the_command_prints_one_line_per_check_and_fails_if_any_fails(srkd: Srkd, tmp_path: Path) -> None:
    written(tmp_path, "not_zero", BROKEN["not_zero"][0])
    code, text, messages = srkd("method", "check", "./not_zero.py")
    assert code == 1
    lines = text.splitlines()
    assert [line[0] for line in lines if line[0] in "✓✗"] == ["✓"] * 10 + ["✗"] + ["✓"] * 7
    at = next(i for i, line in enumerate(lines) if line.startswith("✗"))
    assert lines[at].startswith(
        "✗ A student that equals its teacher has zero distillation loss: term 'broken' is "
    )
    assert re.fullmatch(r'    not_zero.py, line \d+: "broken": self.weight \* loss,', lines[at + 1])
    assert lines[at + 2].startswith("    hint: if that is intended")
    assert messages.startswith("error: ./not_zero.py fails 1 of 18 checks\n")


def test_optimised_python_has_the_same_checks_and_summaries() -> None:
    code = (
        "import json; from srkd_bench import contract; from srkd_bench.methods import registry;"
        "print(json.dumps([[*contract.CHECKS], registry.summary('hkd')]))"
    )
    printed = subprocess.check_output([sys.executable, "-OO", "-c", code], text=True)
    assert json.loads(printed) == [[*checks.CHECKS], registry.summary("hkd")]
    assert len(checks.CHECKS) == 18
    assert registry.summary("hkd").startswith("Output distillation (HKD)")


def test_checks_stop_if_a_method_cannot_take_a_step(srkd: Srkd, tmp_path: Path) -> None:
    written(tmp_path, "wrong_shape", BROKEN["wrong_shape"][0])
    code, text, _ = srkd("method", "check", "wrong_shape.py")
    assert code == 1
    assert text.count("✗") == 1
    assert "✓" not in text
