import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from srkd_bench.evaluation.inference import export
from srkd_bench.networks.architectures.edsr import EDSR
from srkd_bench.networks.loading import load_weights
from srkd_bench.networks.stored import load
from srkd_bench.store.artifact_store import ArtifactStore
from tests.conftest import Srkd
from tests.data.test_images import random_image
from tests.support.finished_runs import pair

needs_onnx = pytest.mark.skipif(
    any(find_spec(name) is None for name in export.EXTRA), reason="the extra onnx is not installed"
)
SHAPES = [(1, 3, 1, 1), (3, 3, 17, 30)]


@pytest.fixture
def run(tmp_path: Path) -> str:
    return pair(tmp_path / "home")[0].digest


def expected(lr: Tensor, tmp_path: Path) -> NDArray[np.float32]:
    store = ArtifactStore(tmp_path / "home")
    sr: Tensor = load(pair(tmp_path / "home")[0], store)(lr).sr
    return sr.detach().numpy()


@needs_onnx
def test_onnx_equals_pytorch_at_any_size_and_has_metadata(srkd: Srkd, run: str, tmp_path: Path) -> None:
    import onnxruntime

    (tmp_path / "images").mkdir()
    Image.fromarray(random_image(40, 61)).save(tmp_path / "images" / "x.png")
    words = ("--to", "onnx", "-o", "x.onnx", "--check", "images", "--json")
    code, text, _ = srkd("export", run[:10], *words)
    assert code == 0
    parity = json.loads(text)["parity"]
    assert parity["images"] == 4  # three photographs, and ours
    assert 0 < parity["difference"] < 1e-5
    session = onnxruntime.InferenceSession(tmp_path / "x.onnx", providers=["CPUExecutionProvider"])
    for shape in SHAPES:
        lr = torch.rand(shape)
        (sr,) = session.run(["sr"], {"lr": lr.numpy()})
        np.testing.assert_allclose(sr, expected(lr, tmp_path), atol=1e-5)
    meta = session.get_modelmeta().custom_metadata_map
    assert {"scale": "2", "run": run, "method": "hkd"}.items() <= meta.items()
    assert "RGB in [0, 1]" in meta["input"]


def test_pt2_equals_pytorch_at_any_size_and_has_metadata(srkd: Srkd, run: str, tmp_path: Path) -> None:
    assert srkd("export", run[:10], "--to", "pt2", "-o", "x.pt2")[0] == 0
    files = {export.META: ""}
    program = torch.export.load(tmp_path / "x.pt2", extra_files=files)
    assert json.loads(files[export.META])["run"] == run
    assert "autocast" not in str(program.graph)
    for shape in SHAPES:
        lr = torch.rand(shape)
        sr = program.module()(lr).detach().numpy()
        np.testing.assert_allclose(sr, expected(lr, tmp_path), atol=1e-6)


def test_safetensors_can_be_measured_and_exported_again(srkd: Srkd, run: str, tmp_path: Path) -> None:
    code, text, _ = srkd("export", run[:10], "--to", "safetensors", "-o", "x.safetensors", "--json")
    assert code == 0
    assert json.loads(text)["parity"]["difference"] == 0
    from safetensors import safe_open

    with safe_open(tmp_path / "x.safetensors", framework="pt") as file:
        assert file.metadata()["method"] == "hkd"
        assert "body.0.body.0.weight" in set(file.keys())
    lr = torch.rand(1, 3, 5, 6)
    sr = load_weights(tmp_path / "x.safetensors")(lr).sr.detach().numpy()
    np.testing.assert_array_equal(sr, expected(lr, tmp_path))
    again = ("--weights", "x.safetensors", "--to", "safetensors", "-o", "y.safetensors")
    assert srkd("export", *again)[0] == 0
    assert srkd("evaluate", "--weights", "y.safetensors", "--datasets", "photos-test")[0] == 0


@pytest.mark.parametrize(
    "wrong", [lambda sr: sr + 2e-4, lambda sr: sr * float("nan"), lambda sr: sr[..., 1:]]
)
def test_an_export_with_different_output_leaves_no_file(
    wrong: object, srkd: Srkd, run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(wrong)
    made = export._safetensors

    def spoilt(model: EDSR, about: dict[str, str]) -> tuple[bytes, export.Forward]:
        content, forward = made(model, about)
        return content, lambda lr: wrong(forward(lr))

    monkeypatch.setattr(export, "_safetensors", spoilt)
    code, _, messages = srkd("export", run[:10], "--to", "safetensors", "-o", "x.safetensors")
    assert code == 1
    assert "the exported network differs" in messages
    assert not list(tmp_path.glob("x.safetensors*"))


def test_a_missing_extra_is_one_error_with_the_command(
    srkd: Srkd, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "find_spec", lambda name: None if name == "onnxruntime" else name)
    code, _, messages = srkd("export", run[:10], "--to", "onnx", "-o", "x.onnx")
    assert code == 1
    assert "export to onnx needs onnxruntime" in messages
    assert "python -m pip install '.[onnx]'" in messages


def test_wrong_suffixes_and_existing_files_are_rejected(srkd: Srkd, run: str, tmp_path: Path) -> None:
    (tmp_path / "x.pt2").write_bytes(b"mine")
    for name, message in {"x.pt2": "would be overwritten", "x.onnx": "is not a file name for pt2"}.items():
        code, _, messages = srkd("export", run[:10], "--to", "pt2", "-o", name)
        assert code == 1
        assert message in messages
    assert (tmp_path / "x.pt2").read_bytes() == b"mine"
