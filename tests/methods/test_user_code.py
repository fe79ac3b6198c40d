"""A user's own methods: files, classes of packages, entry points."""

import importlib.metadata
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from srkd_bench.config.artifacts import Run
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.suite_file import load_suite
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.experiments.planning.planner import plan
from srkd_bench.methods import registry, sources, user_code
from srkd_bench.store.artifact_store import ArtifactStore
from tests.conftest import Srkd
from tests.support.tiny_suite import tiny_suite

MINE = '''"""Mine: the student's SR is pulled to the teacher's, in L1."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import nn

from srkd_bench.method import Losses, Method, Step, Weight


@dataclass(frozen=True)
class Mine(Method):
    """Words."""

    kind = "response"
    source = "me, here 2026"

    weight: Weight = 1.0

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        return {"rec": step.rec, "mine": self.weight * F.l1_loss(step.student.sr, step.teacher.sr)}
'''

RUN = Run(
    model=ModelSpec(n_feats=4, n_resblocks=4),
    train=TrainSpec(steps=3),
    data="photos",
    pixels="0",
    method="none",
    params={},
    seed=0,
    teacher=None,
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder with a suite and a method, without cached state of other tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SRKD_TRUST", raising=False)
    tiny_suite(tmp_path, methods=["none", "./mine.py", "hkd+./mine.py"], params={"mine": {"weight": 2}})
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    sources._SEEN.clear()
    yield
    os.environ.pop("SRKD_TRUST", None)
    sources.installed.cache_clear()


def run_of(reference: str, **params: float) -> Run:
    method = registry.build(reference, {reference: params})
    name = sources.name_of(reference)
    return RUN.model_copy(update={"method": name, "params": registry.identity(method, reference)})


@pytest.mark.parametrize(
    ("name", "params", "digest"),
    [
        ("none", {}, "59d33f43e2e4c0f538674a0862a40c1f333e0cc829787860ab4915627cab28f5"),
        ("hkd", {}, "f744bc019c28a68d3fe94b21be4b0ce09a3ef00144005dfb282f3a18e8b30a4f"),
        ("rvkd", {"weight": 1.0}, "fd60bb82235cf508e92b23df458cfeee2d576693970f1a49e37b1da92f75dfbf"),
    ],
)
def test_digests_of_built_in_methods_are_unchanged(name: str, params: dict[str, float], digest: str) -> None:
    assert run_of(name, **params).digest == digest


def test_a_run_is_identified_by_the_files_content_not_its_path(tmp_path: Path) -> None:
    first = run_of("./mine.py")
    assert first.method == "mine"
    assert re.fullmatch(r"[0-9a-f]{64}", str(first.params["mine"]["sha256"]))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/mine.py").write_text(MINE, encoding="utf-8")
    assert run_of(str(tmp_path / "elsewhere/mine.py")).digest == first.digest
    (tmp_path / "mine.py").write_text(MINE + "# changed\n", encoding="utf-8")
    assert run_of("mine.py").digest != first.digest
    assert run_of("hkd+./mine.py").method == "hkd+mine"


def test_an_own_method_is_trained_measured_and_reported(srkd: Srkd, tmp_path: Path) -> None:
    words = ["tiny.yaml", "--set", "params.mine.weight=3"]
    code, text, messages = srkd(
        "distill", "-m", "none", "-m", "./mine.py", "-m", "hkd+./mine.py", *words, "--json"
    )
    assert code == 0, messages
    assert {score["model"] for score in json.loads(text)["scores"]} >= {"mine", "hkd+mine"}
    manifests = [
        json.loads(path.read_text(encoding="utf-8"))["key"]
        for path in Path("home/runs").glob("*/artifact.json")
    ]
    (params,) = (key["params"] for key in manifests if key["method"] == "mine")
    assert params["mine"]["weight"] == 3.0
    code, text, messages = srkd("report", *words)  # it is cached: no code is run, no trust is needed
    assert code == 0, messages
    assert "MINE" in text
    assert "HKD+MINE" in text
    code, text, _ = srkd("ls", "methods", "--json")
    (row,) = (row for row in json.loads(text)["methods"] if row["name"] == "mine")
    assert (row["kind"], row["teacher"], row["source"]) == ("response", "yes", "me, here 2026")
    assert "weight=3.0" in row["parameters"]
    # The file goes: what is finished can be shown, what is not cannot be trained.
    Path("mine.py").unlink()
    sources._SEEN.clear()
    code, text, messages = srkd("report", *words)
    assert code == 0
    assert "HKD+MINE" in text
    assert "./mine.py is missing: its latest version in the store is used" in messages
    code, _, messages = srkd("--trust", "run", *words, "--set", "seeds=[0,1]")
    assert code == 3
    assert "error: method 'mine' must be trained, but './mine.py' is missing" in messages
    # Another file of the same name: a new run.
    Path("mine.py").write_text(MINE.replace("l1_loss", "mse_loss"), encoding="utf-8")
    code, _, messages = srkd("distill", "-m", "./mine.py", *words)
    assert code == 0
    assert "1 of 2 networks are in the store, 1 to train" in messages
    # Without file and cache, there is one clear error.
    Path("mine.py").unlink()
    Path("home/methods.json").unlink()
    code, _, messages = srkd("report", *words)
    assert (code, messages.splitlines()[0]) == (3, "error: no file 'mine.py'")


def test_a_suite_runs_no_local_code_without_trust(srkd: Srkd, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        'from pathlib import Path\n\nPath("evil").touch()\n' + MINE, encoding="utf-8"
    )
    for words in (
        ["run", "tiny.yaml"],
        ["report", "tiny.yaml"],
        ["run", "tiny.yaml", "--set", "methods=[./mine.py]"],
        ["run", "tiny.yaml", "--set", "methods=['tests.methods.test_user_code:Mine']"],
        ["distill", "-m", "none", "tiny.yaml", "--set", "methods=[./mine.py]", "--dry-run"],
    ):
        code, _, messages = srkd(*words)
        assert not (tmp_path / "evil").exists()
        if words[0] != "distill":
            assert code == 1
            assert re.match(
                r"error: the suite would run the code in '(./mine.py|tests.+test_user_code:Mine)'\n",
                messages,
            )
            assert f"if you trust it: srkd --trust {words[0]} " in messages
    assert srkd("--trust", "report", "tiny.yaml")[0] == 0
    assert (tmp_path / "evil").exists()


def test_a_suite_trains_no_own_method_without_trust(store: ArtifactStore, display: Display) -> None:
    store.begin()
    suite = load_suite("tiny.yaml")
    plan(suite, store, display, ["./mine.py"])
    sources._SEEN.clear()
    user_code.load.cache_clear()
    known = plan(suite.model_copy(update={"methods": ["./mine.py"]}), store, display)  # by its content only
    with pytest.raises(SrkdError, match=r"the suite would run the code in './mine\.py'"):
        registry.rebuild("mine", known.students[0].params)


def test_two_sources_of_one_name_are_distinct(srkd: Srkd, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/mine.py").write_text(MINE.replace("l1_loss", "mse_loss"), encoding="utf-8")
    code, _, messages = srkd("distill", "-m", "mine.py", "-m", "other/mine.py", "tiny.yaml", "--dry-run")
    assert code == 1
    assert messages.startswith("error: two methods are named 'mine': mine.py and other/mine.py\n")


@pytest.mark.parametrize(
    ("name", "text", "message", "hint"),
    [
        ("hkd", MINE, "hkd.py: 'hkd' is the name of a built-in method", "the file's name"),
        ("My-Method", MINE, "My-Method.py: 'My-Method' is not a valid method name", "lower-case letters"),
        ("teacher", MINE, "teacher.py: 'teacher' is not a valid method name", "not all, bicubic"),
        ("bad", "x = 1\ndef f(:\n", "bad.py, line 2: invalid syntax", ""),
        (
            "bad",
            "x = 1\nimport nowhere_at_all\n",
            "bad.py, line 2: ModuleNotFoundError: No module",
            "one file",
        ),
        ("bad", "\n\n1 / 0\n", "bad.py, line 3: ZeroDivisionError: division by zero", ""),
        ("bad", "x = 1\n", "bad.py: it defines no Method", "srkd method new"),
        (
            "bad",
            MINE + "\n\n@dataclass(frozen=True)\nclass Two(Mine.__base__):\n    pass\n",
            "bad.py, line 25: two methods in one file, Mine and Two",
            "a file is one method",
        ),
        (
            "bad",
            MINE.replace("@dataclass(frozen=True)\n", ""),
            "bad.py, line 11: Mine is not a frozen dataclass",
            "write @dataclass(frozen=True) above class Mine",
        ),
        (
            "bad",
            MINE.replace("def losses", "def loses"),
            "bad.py, line 12: Mine has no losses()",
            "`rec`",
        ),
        (
            "bad",
            MINE.replace('kind = "response"', 'kind = "mine"'),
            "bad.py, line 15: kind is 'mine'",
            "response, relation, feature, mutual, self",
        ),
        (
            "bad",
            MINE.replace("    weight", "    taps: tuple[float, ...] = (0.5,)\n    weight"),
            "bad.py, line 18: 'taps' cannot be a hyper-parameter",
            "write it without a type: taps = ...",
        ),
        (
            "bad",
            MINE.replace("Weight = 1.0", "Weight"),
            "bad.py, line 18: hyper-parameter 'weight' has no default",
            "weight: Weight = 1.0",
        ),
        (
            "bad",
            MINE.replace("weight: Weight = 1.0", "weight: 'Wight' = 1.0"),
            "bad.py, line 12: NameError: name 'Wight' is not defined",
            "import the types",
        ),
    ],
)
def test_an_invalid_method_file_gets_one_message(
    tmp_path: Path, name: str, text: str, message: str, hint: str
) -> None:
    (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    with pytest.raises(SrkdError) as caught:
        registry.find(f"{name}.py")
    assert caught.value.message.startswith(message)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "reference", ["./nowhere.py", "nowhere.at:All", "json:Nothing", "a b:C", "mine.py+./mine.py"]
)
def test_missing_files_and_modules_are_named(reference: str) -> None:
    with pytest.raises(SrkdError) as caught:
        registry.build(reference, {})
    assert reference.partition(":")[0].removeprefix("./") in caught.value.message
    assert caught.value.hint


def test_a_class_of_a_package_and_an_entry_point_are_methods(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab/kd").mkdir(parents=True)
    (tmp_path / "lab/__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "lab/kd/__init__.py").write_text(
        "raise AssertionError('imported to be found')", encoding="utf-8"
    )
    (tmp_path / "lab/kd/ours.py").write_text(MINE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    source = sources.find("lab.kd.ours:Mine")
    assert source is not None
    assert (source.name, source.text) == ("mine", MINE.encode())
    assert "lab" not in sys.modules
    (tmp_path / "lab/kd/__init__.py").write_text("", encoding="utf-8")
    named = run_of("lab.kd.ours:Mine")
    assert named.digest == run_of("./mine.py").digest

    entry = importlib.metadata.EntryPoint("plugged", "lab.kd.ours:Mine", sources.ENTRY_POINTS)
    clash = importlib.metadata.EntryPoint("hkd", "lab.kd.ours:Mine", sources.ENTRY_POINTS)
    monkeypatch.setattr(sources, "entry_points", lambda group: [entry, clash])
    sources.installed.cache_clear()
    assert "plugged" in registry.names()
    assert registry.names().count("hkd") == 1
    assert (
        registry.find("hkd").__module__ == "srkd_bench.methods.builtin.hkd"
    )  # no package can replace a built-in method
    assert run_of("plugged").params["plugged"] == named.params["mine"]
    assert registry.rebuild("plugged", run_of("plugged").params) == registry.build("plugged", {})
