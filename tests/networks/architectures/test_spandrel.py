"""Networks that spandrel recognises, as teachers; skipped where it cannot be imported (`make test-spandrel`)."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from srkd_bench.config.network import ForeignSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.experiments.transfer import bundle
from srkd_bench.networks.architectures import spandrel
from srkd_bench.networks.architectures.custom import Foreign
from srkd_bench.networks.architectures.rcan import RCAN
from srkd_bench.networks.architectures.spandrel import why_not
from srkd_bench.networks.loading import load_weights, to_safetensors
from srkd_bench.store.artifact_store import ArtifactStore
from tests.conftest import Srkd

REASON = why_not()
needs_spandrel = pytest.mark.skipif(bool(REASON), reason=f"spandrel cannot be imported: {REASON}")


def architecture(name: str, **params: object) -> nn.Module:
    """Return a network of spandrel's with random weights, a small one."""
    module: Any = importlib.import_module(f"spandrel.architectures.{name}")
    torch.manual_seed(0)
    network: nn.Module = getattr(module, params.pop("of", name))(**params)  # type: ignore[call-overload]
    return network


def span(scale: int, channels: int = 3) -> nn.Module:
    return architecture("SPAN", num_in_ch=channels, num_out_ch=channels, feature_channels=8, upscale=scale)


def compact(scale: int) -> nn.Module:
    rgb = {"num_in_ch": 3, "num_out_ch": 3}
    return architecture("Compact", **rgb, num_feat=8, num_conv=4, upscale=scale, act_type="prelu")


def swinir(scale: int) -> nn.Module:
    sizes = {"depths": [2, 2], "embed_dim": 12, "num_heads": [2, 2], "window_size": 8, "mlp_ratio": 2}
    return architecture(
        "SwinIR", upscale=scale, img_size=32, **sizes, upsampler="pixelshuffledirect", resi_connection="1conv"
    )


def plksr(scale: int) -> nn.Module:
    return architecture("PLKSR", of="RealPLKSR", dim=8, n_blocks=4, upscaling_factor=scale, kernel_size=5)


KINDS = {"SPAN": (span, 6), "Compact": (compact, 4), "SwinIR": (swinir, 2), "PLKSR": (plksr, 4)}


def saved(network: nn.Module, path: Path) -> Path:
    torch.save({"params_ema": network.state_dict()}, path)
    return path


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@needs_spandrel
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_recognised_and_reproduces_its_networks_output(
    kind: str, scale: int, tmp_path: Path
) -> None:
    make, blocks = KINDS[kind]
    network = make(scale).eval()
    model = load_weights(saved(network, tmp_path / "x.pth"))
    assert isinstance(model, Foreign)
    spec = model.spec
    assert (spec.arch, spec.scale, len(spec.blocks)) == (f"spandrel:{kind}", scale, blocks)
    assert spec.parameters == sum(weight.numel() for weight in network.parameters())
    output = model(noise(2, 3, 16, 24), (0.5, 1.0))
    torch.testing.assert_close(output.sr, network(noise(2, 3, 16, 24)), atol=1e-6, rtol=0)
    assert all(one.shape[2:] == (16, 24) for one in output.feats.values())
    assert model(noise(1, 3, 13, 9)).sr.shape == (1, 3, 13 * scale, 9 * scale)


@needs_spandrel
@pytest.mark.parametrize("kind", KINDS)
def test_the_stored_network_is_the_same(kind: str, tmp_path: Path) -> None:
    model = load_weights(saved(KINDS[kind][0](2), tmp_path / "x.pth"))
    (tmp_path / "x.safetensors").write_bytes(to_safetensors(model))
    again = load_weights(tmp_path / "x.safetensors")
    assert again.spec.digest == model.spec.digest
    assert torch.equal(again(noise(1, 3, 16, 16)).sr, model(noise(1, 3, 16, 16)).sr)
    assert to_safetensors(again) == (tmp_path / "x.safetensors").read_bytes()


@needs_spandrel
def test_grey_rgba_and_restoration_networks_are_rejected_by_type(tmp_path: Path) -> None:
    compact = {"num_feat": 8, "num_conv": 4, "act_type": "prelu"}
    for network, said in [
        (architecture("Compact", num_in_ch=1, num_out_ch=1, upscale=2, **compact), "for grey images"),
        (architecture("Compact", num_in_ch=4, num_out_ch=4, upscale=2, **compact), "for RGBA images"),
        (architecture("Compact", num_in_ch=3, num_out_ch=3, upscale=1, **compact), "keeps their size"),
    ]:
        with pytest.raises(SrkdError, match=f"is a RealESRGAN Compact .*{said}") as caught:
            load_weights(saved(network, tmp_path / "x.pth"))
        assert caught.value.hint == "a teacher enlarges RGB images by 2, 3 or 4"


@needs_spandrel
def test_files_of_huge_networks_are_rejected(tmp_path: Path) -> None:
    state = compact(2).state_dict()
    torch.save(state | {"body.999999.weight": torch.ones(1)}, tmp_path / "x.pth")
    with pytest.raises(SrkdError, match=r"worth of 'body\.999999\.weight'"):
        load_weights(tmp_path / "x.pth")
    wide = {name: torch.zeros(1) for name in state} | {"body.0.weight": torch.zeros(20_000, 3, 3, 3)}
    torch.save(wide | {"body.10.bias": torch.zeros(12)}, tmp_path / "x.pth")
    with pytest.raises(SrkdError, match="far larger than its weights"):
        load_weights(tmp_path / "x.pth")
    torch.save(dict(list(state.items())[:-2]), tmp_path / "x.pth")
    with pytest.raises(SrkdError, match=r"weights do not fit|no network that srkd recognises"):
        load_weights(tmp_path / "x.pth")


WHY_NOT = "srkd_bench.networks.architectures.spandrel.why_not"
TINY = [
    "--set", "data={train: photos, test: [photos-test], scale: 2}",
    "--set", "train={batch: 4, patch: 16, steps: 3, learning_rate: 0.001}",
    "--set", "params={}", "--device", "cpu",
]  # fmt: skip


@needs_spandrel
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_any_checkpoint_can_teach_any_student_class(srkd: Srkd, tmp_path: Path, scale: int) -> None:
    saved(compact(scale), tmp_path / "pretrained.pth")
    sizes = "{num_in_ch: 3, num_out_ch: 3, feature_channels: 4}"
    student = f"{{arch: 'spandrel.architectures.SPAN:SPAN', params: {sizes}}}"
    words = [*TINY, "--set", f"data.scale={scale}", "--set", f"student={student}"]
    words += ["--teacher", "pretrained.pth", "-m", "none", "-m", "hkd", "-m", "rvkd"]
    code, out, err = srkd("distill", *words, "--json")
    assert code == 0, err
    assert {score["model"] for score in json.loads(out)["scores"]} >= {"teacher", "none", "hkd", "rvkd"}
    assert srkd("ls", "runs")[1].count("SPAN") == 3


@needs_spandrel
@pytest.mark.parametrize("released", [False, True])
def test_a_swinir_teaches_a_swinir_for_20_training_steps(srkd: Srkd, tmp_path: Path, released: bool) -> None:
    student = {"window_size": 8, "img_size": 16, "embed_dim": 4, "depths": [2, 2], "num_heads": [2, 2]}
    net = "{arch: 'spandrel.architectures.SwinIR:SwinIR', params: %s}"
    sizes = json.dumps(student | {"mlp_ratio": 2, "upsampler": "pixelshuffledirect"})
    words = ["--set", f"data={{train: photos, test: [photos-test], scale: {4 if released else 2}}}"]
    words += ["--set", "train={loss: l1, batch: 2, patch: 16, steps: 20, learning_rate: 0.001, ema: 0.9}"]
    words += ["--set", "claims=[]", "--set", f"student={net % sizes}", "--device", "cpu"]
    if released:
        words += ["--teacher", str(saved(swinir(4), tmp_path / "released.pth"))]
    else:
        words += ["--set", f"teacher={{model: {net % sizes}}}"]
    code, out, err = srkd("run", "swinir-x4" if released else "swinir-x2", *words, "--json")
    assert code == 0, err
    assert {score["model"] for score in json.loads(out)["scores"]} >= {"teacher", "none", "hkd", "fakd"}


@needs_spandrel
def test_an_archive_with_a_spandrel_teacher_is_imported(srkd: Srkd, display: Display, tmp_path: Path) -> None:
    saved(compact(2), tmp_path / "pretrained.pth")
    words = ["--set", "student={n_feats: 4, n_resblocks: 4}", "--teacher", "pretrained.pth"]
    code, _, err = srkd("distill", *TINY, *words, "-m", "hkd")
    assert code == 0, err
    store = ArtifactStore(tmp_path / "home")
    places = [f"{kind}/{one.name}" for kind in ("runs", "weights") for one in (store.home / kind).iterdir()]
    bundle.export(store, places, tmp_path / "x.tar", display)
    other = ArtifactStore(tmp_path / "other")
    assert len(bundle.take_in(other, tmp_path / "x.tar", display).new) == len(places) == 2


@needs_spandrel
def test_a_known_checkpoint_is_loaded_again_only_for_trials(srkd: Srkd, tmp_path: Path) -> None:
    saved(compact(2), tmp_path / "pretrained.pth")
    words = ["--set", "student={n_feats: 4, n_resblocks: 4}", "--teacher", "pretrained.pth"]
    code, _, err = srkd("distill", *TINY, *words, "-m", "none")
    assert code == 0, err
    spandrel._SEEN.clear()  # simulate a new process
    code, _, err = srkd("distill", *TINY, *words, "-m", "none", "--json")
    assert code == 0, err
    assert not spandrel._SEEN
    code, _, err = srkd("distill", *TINY, *words, "-m", "rvkd", "--dry-run")
    assert code == 0, err
    assert spandrel._SEEN


def test_without_spandrel_an_unknown_file_suggests_installing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        WHY_NOT,
        lambda: "ModuleNotFoundError: No module named 'spandrel'",
    )
    torch.save({"body.0.weight": torch.ones(4, 3, 3, 3)}, tmp_path / "x.pth")
    with pytest.raises(SrkdError, match="holds no network that srkd recognises") as caught:
        load_weights(tmp_path / "x.pth")
    assert "pip install '.[spandrel]'" in caught.value.hint
    monkeypatch.setattr(WHY_NOT, lambda: "RuntimeError: no operator nms")
    with pytest.raises(SrkdError, match="holds no network that srkd recognises") as caught:
        load_weights(tmp_path / "x.pth")
    assert "cannot be imported here (RuntimeError: no operator nms)" in caught.value.hint


def test_a_spandrel_spec_is_marked() -> None:
    assert ForeignSpec(arch="spandrel:SPAN").recognised
    assert not ForeignSpec(arch="spandrel.architectures.SPAN:SPAN").recognised


@needs_spandrel
def test_a_variant_of_rcan_is_read_by_spandrel_with_the_range_of_its_mean(tmp_path: Path) -> None:
    sizes = {"n_resgroups": 2, "n_resblocks": 2, "n_feats": 16, "reduction": 4}
    state = architecture("RCAN", scale=2, unshuffle_mod=True, **sizes).state_dict()
    for known in (255, 1):
        own = {
            name: value * (known / 255) if "_mean.bias" in name else value for name, value in state.items()
        }
        torch.save(own, tmp_path / "x.pth")
        model = load_weights(tmp_path / "x.pth")
        assert isinstance(model, Foreign)
        assert model.spec.arch == "spandrel:RCAN"
        assert model.network.rgb_range == known


@needs_spandrel
def test_an_rcan_without_mean_shift_is_read_by_spandrel(tmp_path: Path) -> None:
    sizes = {"n_resgroups": 2, "n_resblocks": 2, "n_feats": 16, "reduction": 4}
    network = architecture("RCAN", scale=2, norm=False, **sizes).eval()
    model = load_weights(saved(network, tmp_path / "x.pth"))
    assert model.spec.arch == "spandrel:RCAN"  # type: ignore[union-attr]
    lr = noise(1, 3, 8, 8)
    torch.testing.assert_close(model(lr).sr, network(lr))


@needs_spandrel
@pytest.mark.parametrize("rgb_range", [1, 255])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_built_in_rcan_equals_spandrels_on_the_same_weights(
    scale: int, rgb_range: int, tmp_path: Path
) -> None:
    sizes = {"n_resgroups": 3, "n_resblocks": 2, "n_feats": 16, "reduction": 4}
    network = architecture("RCAN", **sizes, scale=scale, rgb_range=rgb_range).eval()
    model = load_weights(saved(network, tmp_path / "x.pth"))
    assert isinstance(model, RCAN)
    assert model.file_range == rgb_range
    lr = noise(2, 3, 20, 17)
    sr = model(lr).sr
    torch.testing.assert_close(sr, network(lr.clone()), atol=1e-6, rtol=0)  # spandrel's modifies its input
