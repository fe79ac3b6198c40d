import hashlib
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.experiments.planning import planner
from srkd_bench.methods import encoders, registry, sources
from srkd_bench.store.artifact_store import ArtifactStore
from tests.conftest import Srkd
from tests.support.encoder_files import TwoMaps, encoder_file
from tests.support.tiny_suite import tiny_suite

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRKD_TRUST", "1")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encoder_file(tmp_path_factory.mktemp("encoder") / "two.pt2")


def named(path: Path) -> str:
    return str(encoders.resolved({"ckd": {"space": str(path)}})["ckd"]["space"])


def test_an_encoder_is_identified_by_its_content(file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.pt2"
    copy.write_bytes(file.read_bytes())
    assert named(file) == named(copy) == f"{hashlib.sha256(file.read_bytes()).hexdigest()}.pt2"
    method = registry.build("ckd", {"ckd": {"space": str(file)}})
    identity = registry.identity(method, "ckd")
    assert identity["ckd"]["space"] == named(file)
    assert registry.rebuild("ckd", identity) == method
    assert registry.encoders(method) == [(named(file), method)]
    assert registry.encoders(registry.build("hkd+ckd", {"ckd": {"space": str(file)}})) == [
        (named(file), method)
    ]
    assert registry.encoders(registry.build("ckd", {})) == []
    assert "space" not in registry.identity(registry.build("ckd", {}), "ckd")["ckd"]


def test_its_weights_are_constant_and_images_get_gradients(file: Path) -> None:
    encoder = encoders.load(named(file), CPU)
    assert encoders.load(named(file), CPU) is encoder
    images = torch.rand(3, 3, 10, 12, requires_grad=True)
    first, second = encoder(images)
    assert (first.shape, second.shape) == ((3, 4, 10, 12), (3, 5, 5, 6))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        original = TwoMaps()
    torch.testing.assert_close(second, original(images)[1])
    (gradient,) = torch.autograd.grad(second.sum(), images)
    assert gradient.any()
    assert not any(weight.requires_grad for weight in encoder._module.parameters())


def test_an_encoder_of_one_map_gives_one(tmp_path: Path) -> None:
    path = encoder_file(tmp_path / "one.pt2", nn.Sequential(nn.Conv2d(3, 2, 1)))
    (features,) = encoders.load(named(path), CPU)(torch.rand(1, 3, 4, 4))
    assert features.shape == (1, 2, 4, 4)


def test_an_encoder_loads_on_any_device(file: Path) -> None:
    meta = torch.device("meta")
    first, _ = encoders.load(named(file), meta)(torch.rand(2, 3, 8, 8, device=meta))
    assert (first.device, first.shape) == (meta, (2, 4, 8, 8))


@pytest.mark.parametrize("content", ["text", "zip", "state"])
def test_a_file_that_is_no_encoder_is_refused(
    content: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "no.pt2"
    if content == "text":
        path.write_text("no archive", encoding="utf-8")
    elif content == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a", "b")
    else:
        torch.save(TwoMaps().state_dict(), path)
    with pytest.raises(SrkdError, match=r"no\.pt2' is not a file that torch\.export\.save wrote") as caught:
        encoders.load(named(path), CPU)
    assert "torch.export.save(" in caught.value.hint
    assert capfd.readouterr().err == ""


def test_other_files_and_missing_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SrkdError, match=r"^params\.ckd\.space: must be a \.pt2 file of torch\.export, not "):
        registry.build("ckd", {"ckd": {"space": "vgg.pth"}})
    for call in (
        lambda: named(tmp_path / "x.pt2"),
        lambda: registry.build("ckd", {"ckd": {"space": "x.pt2"}}),
    ):
        with pytest.raises(MissingError, match=r"no encoder file '.*x\.pt2'") as caught:
            call()
        assert "torch.export.save(" in caught.value.hint
    assert encoders.resolved({"ckd": {"space": "x.pt2", "weight": 1.0}}, optional=True) == {
        "ckd": {"weight": 1.0}
    }
    with pytest.raises(MissingError, match="is not known here"):
        encoders.load(f"{'0' * 64}.pt2", CPU)


def test_an_untrusted_encoder_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SRKD_TRUST")
    name = named(encoder_file(tmp_path / "untrusted.pt2", nn.Conv2d(3, 1, 1)))
    with pytest.raises(SrkdError, match="can run code that its author wrote") as caught:
        encoders.load(name, CPU)
    assert "trust" in caught.value.hint.lower()


def test_a_file_that_changes_after_planning_is_refused(tmp_path: Path) -> None:
    path = encoder_file(tmp_path / "changing.pt2", nn.Conv2d(3, 3, 1))
    name = named(path)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(SrkdError, match="has changed in the meantime"):
        encoders.load(name, CPU)


class Detached(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.detach().mean((2, 3))


class Counts(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.argmax(1)


@pytest.mark.parametrize(
    ("module", "fixed", "message"),
    [
        (nn.Conv2d(3, 2, 3), True, "cannot be applied to 4×3×16×16 images"),
        (Detached(), False, "gives its input no gradient"),
        (Counts(), False, "does not return tensors of features"),
    ],
)
def test_an_encoder_that_does_not_fit_the_training_is_refused(
    module: nn.Module, *, fixed: bool, message: str, tmp_path: Path
) -> None:
    encoder = encoders.load(named(encoder_file(tmp_path / "unfit.pt2", module, fixed=fixed)), CPU)
    with pytest.raises(SrkdError, match=message) as caught:
        encoder.check(torch.zeros(4, 3, 16, 16))
    assert caught.value.hint


def test_the_source_of_an_encoder_can_be_sent_to_another_process(file: Path) -> None:
    source = encoders.source_of(named(file))
    assert source is not None
    assert (source.path, source.text) == (file, b"")
    sources._SEEN.clear()
    sources.know([source])
    assert encoders.source_of(named(file)) == source
    assert encoders.source_of("word") is encoders.source_of(1.0) is None


def test_a_suite_trains_with_an_encoder_once_its_file_is_trusted(
    srkd: Srkd, store: ArtifactStore, display: Display, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SRKD_TRUST")
    encoder_file(tmp_path / "encoder.pt2")
    encoder_file(tmp_path / "fixed.pt2", nn.Conv2d(3, 2, 3), fixed=True)
    suite = tiny_suite(tmp_path, methods=["ckd"], params={"ckd": {"space": "encoder.pt2", "warmup": 0.0}})
    code, _, messages = srkd("run", "tiny.yaml")
    assert (code, "loading encoder 'encoder.pt2' can run code" in messages) == (1, True)
    code, _, messages = srkd("--trust", "run", "tiny.yaml", "--set", "params.ckd.space=fixed.pt2")
    assert (code, "encoder 'fixed.pt2' cannot be applied to 4×3×16×16 images" in messages) == (1, True)
    assert not (tmp_path / "home" / "runs").exists()  # all before any work
    code, _, messages = srkd("--trust", "run", "tiny.yaml")
    assert code == 0, messages
    (tmp_path / "encoder.pt2").rename(tmp_path / "moved.pt2")
    code, _, messages = srkd("--trust", "run", "tiny.yaml", "--set", "params.ckd.space=moved.pt2")
    assert (code, "Training" in messages) == (0, False)  # the content identifies it
    found = planner.plan(load_suite(str(suite), ["params.ckd.space=moved.pt2"]), store, display)
    assert [source.path for source in found.code] == [tmp_path / "moved.pt2"]
    assert found.students[0].params["ckd"]["space"] == named(tmp_path / "moved.pt2")
    elsewhere = load_suite(str(suite), [f"params.ckd.space={tmp_path}/moved.pt2"])
    assert elsewhere.identity == found.suite.identity
