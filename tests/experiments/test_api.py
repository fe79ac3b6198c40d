"""The Python interface: the same numbers, files and errors as those of the command."""

import inspect
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from multiprocessing import current_process
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

import srkd_bench as srkd
from srkd_bench.config.metrics import METRICS
from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.data.image_set import open_set
from srkd_bench.data.images import cut, luma, read_rgb
from srkd_bench.evaluation.metrics import psnr, ssim
from srkd_bench.experiments import workflow
from srkd_bench.store.artifact_store import ArtifactStore
from tests.conftest import Srkd
from tests.data.test_images import random_image
from tests.evaluation.test_metrics import pair as noisy_pair
from tests.support.finished_runs import pair
from tests.support.tiny_suite import tiny_suite

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "python-api.md"
DATA = os.environ.get("SRKD_TEST_DATA", "")
needs_data = pytest.mark.skipif(not DATA, reason="SRKD_TEST_DATA is not set")
FUNCTIONS = [srkd.run, srkd.results, srkd.load, srkd.evaluate, srkd.imresize, srkd.psnr_y, srkd.ssim_y]
METHODS = [getattr(srkd.StudyResults, name) for name in ("to_pandas", "table", "differences", "report")]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with a tiny suite; return the folder of the store."""
    monkeypatch.chdir(tmp_path)
    tiny_suite(tmp_path, seeds=[0, 1])
    return tmp_path / "home"


@pytest.fixture
def srkd_command(srkd: Srkd) -> Srkd:
    """Call the command; `srkd` is the Python interface here."""
    return srkd


def test_the_package_imports_nothing_heavy_and_the_protocol_needs_no_torch() -> None:
    code = (
        "import sys, srkd_bench as srkd\n"
        "print({'torch', 'pandas', 'numpy', 'pydantic'} & set(sys.modules))\n"
        "srkd.imresize, srkd.psnr_y, srkd.ssim_y, srkd.results\n"
        "print({'torch', 'pandas'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\nset()\n"


def test_every_public_name_is_listed_and_loaded() -> None:
    for name in srkd.__all__:
        assert getattr(srkd, name) is not None
        assert name in dir(srkd)
    assert srkd.contract.__name__ == "srkd_bench.training.contract.checks"
    with pytest.raises(AttributeError, match="'srkd_bench' has no attribute 'rnu'"):
        srkd.rnu  # type: ignore[attr-defined]  # noqa: B018  # a type checker finds this, too


@pytest.mark.parametrize("public", [*FUNCTIONS, *METHODS], ids=lambda one: one.__qualname__)
def test_a_docstring_names_every_argument_and_has_an_example(public: Callable[..., Any]) -> None:
    text, names = inspect.getdoc(public) or "", [*inspect.signature(public).parameters]
    for name in names:
        assert name == "self" or re.search(rf"\b{name}\b[^:]*:", text), name
    assert "Example:\n    >>> " in text


def test_run_gives_the_same_numbers_as_the_command(srkd_command: Srkd, home: Path, tmp_path: Path) -> None:
    code, printed, _ = srkd_command("run", "tiny.yaml", "--json")
    assert code == 0
    found = srkd.run("tiny.yaml", home=tmp_path / "another", progress=False)
    assert found.table("json") == printed
    scores, document = found.to_pandas(), json.loads(printed)
    assert scores["value"].sum() == pytest.approx(sum(sum(r["images"].values()) for r in document["scores"]))
    rows = [(one.model, one.metric, one.dataset, one.mean, one.verdict) for one in found.differences()]
    names = ("model", "metric", "dataset", "mean", "verdict")
    assert rows == [tuple(one[name] for name in names) for one in document["differences"]]
    assert {one.metric for one in found.differences("ssim_y")} == {"ssim_y"}


def test_reports_equal_those_of_the_command(srkd_command: Srkd, home: Path, tmp_path: Path) -> None:
    found = srkd.run("tiny.yaml", seeds=[0], methods="none,hkd", home=home)
    for name in ("page.html", "scores.csv", "table.md"):
        assert srkd_command("report", "tiny.yaml", "--set", "seeds=[0]", "-o", f"theirs-{name}")[0] == 0
        assert found.report(name) == Path(name)
        assert Path(name).read_bytes() == Path(f"theirs-{name}").read_bytes()
    read = pd.read_csv("scores.csv").astype({"seed": "Int64"})
    ours = found.to_pandas()
    assert list(read.columns) == list(ours.columns)
    assert read["value"].tolist() == ours["value"].tolist()
    assert read["seed"].equals(ours["seed"])
    assert found._repr_markdown_() == Path("table.md").read_text(encoding="utf-8")
    assert repr(found) == found.table()


def test_results_are_read_without_training(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = srkd.results("tiny.yaml", home=home, progress=False)
    assert "hkd: not trained yet (seeds 0, 1)" in before.results.notes
    assert not home.exists()
    assert capsys.readouterr() == ("", "")


def test_settings_change_the_suite(home: Path) -> None:
    changes = {"train.steps": 3, "params.hkd.weight": 1e-05, "evaluate.metrics": ["ssim_y"]}
    found = srkd.results("tiny.yaml", seeds=3, settings=changes, baseline="hkd", home=home)
    assert found.origin is not None
    suite = found.origin[0].suite
    assert (suite.train.steps, suite.seeds, suite.params["hkd"]["weight"]) == (3, [0, 1, 2], 1e-05)
    assert (found.results.metrics, found.results.baseline) == (["ssim_y"], "hkd")


def test_an_image_is_upscaled_as_the_command_does(srkd_command: Srkd, home: Path) -> None:
    run = pair(home)[0].digest[:10]
    network = srkd.load(run, home=home)
    assert (network.training, network.scale) == (False, 2)
    image = Image.fromarray(random_image(9, 7))
    clear = image.copy()
    clear.putalpha(image.convert("L"))
    for name, one in {"rgb": image, "grey": image.convert("L"), "clear": clear}.items():
        one.save(f"{name}.png")
        assert srkd_command("upscale", f"{name}.png", "--run", run, "-o", "out")[0] == 0
        expected = np.asarray(Image.open(f"out/{name}_x2.png"))
        for given in (one, np.asarray(one)):
            np.testing.assert_array_equal(network.upscale(given), expected)
        np.testing.assert_array_equal(network.upscale(f"{name}.png").squeeze(), expected)


def test_a_loaded_network_is_a_module_that_can_be_trained(home: Path) -> None:
    network = srkd.load(pair(home)[0].digest[:10], home=home).train()
    assert isinstance(network, nn.Module)
    lr = torch.rand(2, 3, 8, 6)
    sr = network(lr)
    assert sr.shape == (2, 3, 16, 12)
    sr.mean().backward()
    assert all(weight.grad is not None for weight in network.parameters())
    network.upscale(random_image(8, 6))
    assert network.training


class Nearest(nn.Module):
    """A user's network, part of which stays in evaluation mode during training."""

    def __init__(self) -> None:
        super().__init__()
        self.grow, self.frozen = nn.Upsample(scale_factor=3), nn.BatchNorm2d(3).eval()

    def forward(self, lr: Tensor) -> Tensor:
        grown: Tensor = self.grow(lr)
        return grown


def test_a_users_module_is_measured_and_not_modified(home: Path) -> None:
    module = Nearest()
    found = srkd.evaluate(module, "photos-test", scale=3, name="mine", home=home).to_pandas()
    assert (module.training, module.frozen.training) == (True, False)
    assert set(found["model"]) == {"mine"}
    sr = home.parent / "sr"
    sr.mkdir()
    images = open_set(ArtifactStore(home), "photos-test", 3)
    for i, name in enumerate(images.names):
        Image.fromarray(images.lr(i).repeat(3, 0).repeat(3, 1)).save(sr / f"{name}.png")
    of_folder = srkd.evaluate(sr, ["photos-test"], scale=3, home=home).to_pandas()
    assert found["value"].tolist() == of_folder["value"].tolist()


def test_a_loaded_network_scores_as_in_its_study(srkd_command: Srkd, home: Path) -> None:
    study = srkd.run("tiny.yaml", seeds=1, home=home, progress=False).to_pandas()
    run = study[study["model"] == "hkd"]["run"].iloc[0]
    network = srkd.load(run[:8], home=home)
    measured = srkd.evaluate(network, "photos-test", home=home, progress=False).to_pandas()
    for metric in ("psnr_y", "ssim_y"):
        theirs = study[(study["run"] == run) & (study["metric"] == metric)]["value"].tolist()
        assert measured[measured["metric"] == metric]["value"].tolist() == theirs
    file = next(home.glob(f"runs/{run[:20]}/*.safetensors"))
    ours = srkd.evaluate(file, "photos-test", self_ensemble=True, home=home)
    words = ["--weights", str(file), "--datasets", "photos-test", "--self-ensemble", "--json"]
    assert ours.table("json") == srkd_command("evaluate", *words)[1]
    again = srkd.evaluate(srkd.load(weights=file, home=home), "photos-test", self_ensemble=True, home=home)
    assert again.to_pandas()["value"].tolist() == ours.to_pandas()["value"].tolist()


def test_bicubic_is_measured_as_the_command_does(srkd_command: Srkd, home: Path) -> None:
    printed = srkd_command(
        "evaluate", "--model", "bicubic", "--datasets", "photos-test", "--scale", "4", "--json"
    )[1]
    assert srkd.evaluate("bicubic", "photos-test", scale=4, home=home).table("json") == printed


def test_metrics_are_those_of_the_protocol() -> None:
    sr, hr = noisy_pair(40, 30)
    assert srkd.psnr_y(sr, hr, scale=3) == psnr(luma(sr), luma(hr), border=3)
    assert srkd.ssim_y(sr, hr, scale=4) == ssim(luma(sr), luma(hr), border=4)
    with pytest.raises(ValueError, match="SR is"):
        srkd.psnr_y(sr[2:], hr, scale=2)


@needs_data
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_images_and_metrics_are_the_golden_ones(scale: int) -> None:
    folder = Path(DATA) / "set5"
    for path in sorted((folder / f"LR_x{scale}_symmetric").iterdir()):
        hr = cut(read_rgb(folder / "HR" / path.name, path.name), scale)
        np.testing.assert_array_equal(srkd.imresize(hr, 1 / scale), read_rgb(path, path.name))


@needs_data
def test_bicubic_of_set5_has_the_golden_scores() -> None:
    golden = json.loads((Path(DATA) / "golden" / "scores.json").read_text(encoding="utf-8"))["bicubic/set5"]
    hrs = [cut(read_rgb(path, path.name), 2) for path in (Path(DATA) / "set5" / "HR").iterdir()]
    srs = [srkd.imresize(srkd.imresize(hr, 0.5), 2) for hr in hrs]
    pairs = list(zip(srs, hrs, strict=True))
    assert np.mean([srkd.psnr_y(*one, scale=2) for one in pairs]) == pytest.approx(
        golden["psnr_y"], abs=0.002
    )
    assert np.mean([srkd.ssim_y(*one, scale=2) for one in pairs]) == pytest.approx(golden["ssim_y"], abs=1e-4)


def test_a_grey_image_is_resized_as_a_channel_of_a_colour_image() -> None:
    image = random_image(9, 8)
    for factor in (2, 3, 4, 1 / 2, 1 / 3, 0.25):
        np.testing.assert_array_equal(
            srkd.imresize(image[..., 1], factor), srkd.imresize(image, factor)[..., 1]
        )


@pytest.mark.parametrize("factor", [0, -2, 1, 0.3, 2.5, 5, float("nan")])
def test_a_factor_that_matlab_was_not_tested_with_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="expected a factor of 2, 3, 4, 1/2, 1/3 or 1/4"):
        srkd.imresize(random_image(8, 8), factor)


WRONG: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "suite": (lambda home: srkd.run("demmo", home=home), "no suite named 'demmo'", "did you mean 'demo'?"),
    "method": (
        lambda home: srkd.run("tiny.yaml", methods=["hdk"], home=home),
        "no method named 'hdk'",
        "did you mean 'hkd'?",
    ),
    "baseline": (
        lambda home: srkd.run("tiny.yaml", baseline="rkd", home=home),
        "no method named 'rkd'",
        "did you mean 'hkd'?",
    ),
    "setting": (
        lambda home: srkd.run("tiny.yaml", settings={"train.stepz": 3}, home=home),
        "stepz",
        "did you mean 'steps'?",
    ),
    "type": (
        lambda home: srkd.run("tiny.yaml", settings={"train.steps": {3}}, home=home),
        "not JSON serializable",
        "give text",
    ),
    "jobs": (lambda home: srkd.run("tiny.yaml", jobs=0, home=home), "jobs is 0, but at least 1", ""),
    "run": (lambda home: srkd.load("4f1a", home=home), "no finished run '4f1a'", "srkd ls runs"),
    "weights": (lambda home: srkd.load(weights="no.pt", home=home), "no weights file 'no.pt'", "a file"),
    "nothing": (lambda home: srkd.load(home=home), "no network is named", "srkd ls runs"),
    "data set": (
        lambda home: srkd.evaluate("bicubic", ["set5"], home=home),
        "data sets that are not available: set5",
        "srkd download set5",
    ),
    "no data set": (lambda home: srkd.evaluate("bicubic", [], home=home), "no data set is named", "set14"),
    "scale": (lambda home: srkd.evaluate("bicubic", "set5", scale=5, home=home), "scale is 5", "2, 3 or 4"),
    "module": (
        lambda home: srkd.evaluate(Nearest(), "photos-test", scale=2, home=home),
        "Nearest maps",
        "enlarges by 2",
    ),
    "ensemble": (
        lambda home: srkd.evaluate("bicubic", "photos-test", self_ensemble=True, home=home),
        "self_ensemble needs a network",
        "measured as they are",
    ),
    "metric": (
        lambda home: srkd.results("tiny.yaml", home=home).differences("psnr"),
        "no metric 'psnr'",
        "known: psnr_y",
    ),
    "suffix": (
        lambda home: srkd.results("tiny.yaml", home=home).report("page.pdf"),
        "no report format for 'page.pdf'",
        ".html",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_mistake_is_an_error_with_a_hint(home: Path, wrong: str) -> None:
    call, message, hint = WRONG[wrong]
    with pytest.raises(srkd.SrkdError) as raised:
        call(home)
    assert message in raised.value.message
    assert hint in raised.value.hint
    assert isinstance(raised.value, MissingError) == (wrong in ("run", "weights", "data set"))


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3)), np.zeros((4, 4, 5), np.uint8), np.zeros(4, np.uint8)])
def test_an_array_that_is_no_image_is_refused(home: Path, image: NDArray[Any]) -> None:
    network = srkd.load(pair(home)[0].digest[:10], home=home)
    with pytest.raises(srkd.SrkdError, match="an image is a uint8 array"):
        network.upscale(image)


@pytest.mark.parametrize(
    ("number", "ended"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_an_interrupted_call_ends_as_python_programs_do_and_resumes(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    ended: type[BaseException],
) -> None:
    before = signal.getsignal(number)
    with monkeypatch.context() as patched:
        patched.setattr(workflow, "complete", lambda *given: os.kill(os.getpid(), number))
        with pytest.raises(ended) as raised:
            srkd.run("tiny.yaml", seeds=1, home=home)
    assert "the same call resumes" in (str(raised.value) + capsys.readouterr().err)
    assert number == signal.SIGINT or (isinstance(raised.value, SystemExit) and raised.value.code == 75)
    assert signal.getsignal(number) is before


def method_file(losses: str) -> str:
    """Return the text of a method's file.

    Args:
        losses: the line that returns its losses.
    """
    return (
        '"""Broken (BROKEN)."""\n'
        "from dataclasses import dataclass\n"
        "from srkd_bench.method import Losses, Method, Step\n"
        "@dataclass(frozen=True)\n"
        "class Broken(Method):\n"
        '    """Fails."""\n'
        "    kind = 'response'\n"
        "    source = 'a test'\n"
        "    def losses(self, step: Step, adapter: object) -> Losses:\n"
        f"        {losses}\n"
    )


def test_failed_runs_are_raised_and_the_others_kept(home: Path, tmp_path: Path) -> None:
    text = method_file("return {'far': float('nan') * step.student.sr.mean()}")
    (tmp_path / "broken.py").write_text(text, encoding="utf-8")
    with pytest.raises(srkd.SrkdError) as raised:
        srkd.run("tiny.yaml", seeds=1, methods=["none", "./broken.py"], home=home)
    assert raised.value.exit_code == 6
    found = srkd.results("tiny.yaml", seeds=1, methods=["none", "./broken.py"], home=home)
    assert found.results.image_means("psnr_y", "none", "photos-test")
    assert any(note.startswith("broken: failed") for note in found.results.notes)


def test_a_script_without_a_main_guard_gets_a_clear_error(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_process(), "_inheriting", True, raising=False)
    with pytest.raises(srkd.SrkdError, match="while importing the script"):
        srkd.run("tiny.yaml", home=home)


def test_a_script_with_a_guard_works_in_several_processes(home: Path, tmp_path: Path) -> None:
    script = (
        "import srkd_bench as srkd\n"
        "if __name__ == '__main__':\n"
        "    print(srkd.run('tiny.yaml', seeds=1, jobs=2, home='home').table('json'), end='')\n"
    )
    (tmp_path / "study.py").write_text(script, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    text = subprocess.check_output([sys.executable, "study.py"], text=True, env=environment)
    assert text == srkd.results("tiny.yaml", seeds=1, home=home).table("json")
    cards = [
        json.loads(path.read_text(encoding="utf-8"))["command"] for path in home.glob("runs/*/card.json")
    ]
    assert set(cards) == {"python study.py"}


def test_a_suite_runs_code_in_a_program_only_if_that_is_allowed(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(
        method_file("return {'none': 0 * step.student.sr.mean()}"), encoding="utf-8"
    )
    monkeypatch.setattr(sys, "argv", ["study.py"])
    with pytest.raises(srkd.SrkdError, match="the suite would run the code") as raised:
        srkd.results("tiny.yaml", settings={"methods": ["./mine.py"]}, home=home)
    assert raised.value.hint.endswith("set SRKD_TRUST=1")
    monkeypatch.setenv("SRKD_TRUST", "1")
    assert srkd.results("tiny.yaml", settings={"methods": ["./mine.py"]}, home=home)


def test_tables_of_a_notebook_are_those_of_a_terminal(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = srkd.results("tiny.yaml", home=home)
    text, shown = found.table(), list[str]()
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr("rich.jupyter.display", lambda segments, text: shown.append(text))
    assert (repr(found), shown) == (text, [])


def test_a_missing_pandas_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(srkd.SrkdError, match="to_pandas needs pandas"):
        srkd.results("tiny.yaml", home=home).to_pandas()


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def test_the_code_in_the_documentation_runs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the blocks in order, with a tiny suite, two seeds and a built-in data set."""
    monkeypatch.setenv("SRKD_HOME", str(home))
    Image.fromarray(random_image(8, 6)).save("photo.png")
    names: dict[str, Any] = {}
    out = StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    for block in blocks():
        code = (
            block.replace('"demo"', '"tiny.yaml"')
            .replace("seeds=6", "seeds=2")
            .replace("set5", "photos-test")
        )
        if "results" in names:
            run = names["results"].results.scores[-1].run
            code = code.replace("4f1a", run[:12])
        exec(compile(code, str(PAGE), "exec"), names)
    assert (names["sr"].shape, names["lr"].shape) == ((96, 128, 3), (48, 64, 3))
    assert Path("page.html").stat().st_size > 100_000
    assert set(names["measured"].to_pandas()["model"]) == {"student"}
    assert set(names["bicubic"].results.metrics) == set(METRICS)
    assert "no suite named 'demmo' did you mean 'demo'? 1" in out.getvalue()


@pytest.mark.parametrize("public", [*FUNCTIONS, *METHODS], ids=lambda one: one.__qualname__)
def test_the_documentation_names_every_argument(public: Callable[..., Any]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert public.__name__ in text
    for name in inspect.signature(public).parameters:
        assert name == "self" or re.search(rf"`{name}`|[(, ]{name}[=,)]", text), name


def test_seeds_in_words_are_refused() -> None:
    with pytest.raises(SrkdError, match="seeds is '0-5'") as error:
        srkd.run("smoke", seeds="0-5")  # type: ignore[arg-type]
    assert error.value.hint == "give a number of seeds (6), or the seeds themselves ([0, 2])"
