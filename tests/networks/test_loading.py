import os
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from srkd_bench.config.metrics import METRICS
from srkd_bench.config.network import ModelSpec, network_spec
from srkd_bench.core.errors import SrkdError
from srkd_bench.data.images import cut, downscale, read_rgb
from srkd_bench.evaluation.metrics import measure
from srkd_bench.evaluation.scoring import network
from srkd_bench.networks import loading
from srkd_bench.networks.architectures.edsr import EDSR
from srkd_bench.networks.architectures.residual import DIV2K_MEAN, ResidualNetwork
from srkd_bench.networks.base import BODY, HEAD, Architecture, Output
from srkd_bench.networks.loading import build, load_weights, to_safetensors
from srkd_bench.networks.resolve import Hints
from srkd_bench.networks.weight_files import WeightFile
from tests.support.weight_files import released

DATA = os.environ.get("SRKD_TEST_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="SRKD_TEST_DATA does not point to the real images")
TINY = ModelSpec(n_feats=4, n_resblocks=3)


def state_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.contiguous() for name, value in model.state_dict().items()}


def same(one: nn.Module, other: nn.Module) -> bool:
    a, b = state_of(one), state_of(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def look(model: nn.Module, lr: Tensor, *taps: float) -> Output:
    output = model(lr, taps)
    assert isinstance(output, Output)
    return output


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("n_feats", "n_resblocks", "scale", "parameters"),
    [(256, 32, 2, 40_729_603), (64, 16, 2, 1_369_859), (64, 16, 4, 1_517_571), (4, 1, 3, 1_999)],
)
def test_parameter_counts_match_published_and_built_networks(
    n_feats: int, n_resblocks: int, scale: int, parameters: int
) -> None:
    spec = ModelSpec.model_validate({"n_feats": n_feats, "n_resblocks": n_resblocks, "scale": scale})
    with torch.device("meta"):
        built = sum(weight.numel() for weight in EDSR(spec).parameters())
    assert built == parameters
    assert spec.parameters == parameters


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_sr_is_larger_by_the_scale(scale: int) -> None:
    model = build(ModelSpec.model_validate({"n_feats": 4, "n_resblocks": 1, "scale": scale}), 0)
    sr = look(model, noise(2, 3, 5, 7)).sr
    assert sr.shape == (2, 3, 5 * scale, 7 * scale)
    assert sr.dtype == torch.float32


def test_images_are_in_0_to_1_and_the_network_works_on_0_to_255_without_the_mean() -> None:
    model, seen = build(TINY, 0), []
    model.head.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.tail[1].bias.copy_(torch.tensor([25.5, 0.0, -51.0]))  # type: ignore[operator]
    lr = noise(2, 3, 5, 7)
    sr = look(model, lr).sr
    mean = torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1)
    torch.testing.assert_close(seen[0], 255 * (lr - mean), rtol=1e-5, atol=1e-4)
    expected = mean + torch.tensor([0.1, 0.0, -0.2]).view(1, 3, 1, 1)
    torch.testing.assert_close(sr, expected.expand_as(sr))


def test_a_block_adds_its_residual_times_res_scale() -> None:
    strong, weak = (build(ModelSpec(n_feats=4, n_resblocks=1, res_scale=r), 0).body[0] for r in (1.0, 0.1))
    x = noise(1, 4, 5, 5)
    torch.testing.assert_close(weak(x) - x, 0.1 * (strong(x) - x), rtol=1e-4, atol=1e-6)
    assert (strong(x) - x).abs().max() > 0.01


@pytest.mark.parametrize(
    "size",
    [{"n_resblocks": 3}, {"arch": "rcan", "n_resgroups": 3, "n_resblocks": 1, "reduction": 2}],
    ids=["edsr", "rcan"],
)
def test_features_are_read_after_the_head_and_after_the_bodys_last_convolution(size: dict[str, Any]) -> None:
    model = build(network_spec({"n_feats": 4} | size), 0)
    assert isinstance(model, ResidualNetwork)
    lr = torch.rand(2, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    seen: dict[str, Tensor] = {}
    for path in ("head.0", "body.3"):
        model.get_submodule(path).register_forward_hook(
            lambda module, inputs, output, path=path: seen.update({path: output.clone()})
        )
    feats = model(lr, (HEAD, 1.0, BODY)).feats
    assert torch.equal(feats[HEAD], seen["head.0"])
    assert torch.equal(feats[BODY], seen["body.3"])
    assert torch.equal(model.body[-1](feats[1.0]), feats[BODY])
    with torch.autocast("cpu", torch.bfloat16):
        assert all(one.dtype == torch.float32 for one in model(lr, (HEAD, 1.0, BODY)).feats.values())


def test_taps_give_the_blocks_outputs_and_nothing_changes_them_afterwards() -> None:
    model = build(ModelSpec(n_feats=4, n_resblocks=8), 0)
    outputs: dict[int, Tensor] = {}
    for i, block in enumerate(model.body, start=1):
        block.register_forward_hook(lambda module, inputs, output, i=i: outputs.update({i: output.clone()}))
    taps = {0.01: 1, 0.25: 2, 0.5: 4, 0.75: 6, 1.0: 8}
    output = look(model, noise(2, 3, 6, 5), *taps)
    assert list(output.feats) == list(taps)
    for tap, block_number in taps.items():
        assert output.feats[tap].shape == (2, 4, 6, 5)
        assert torch.equal(output.feats[tap], outputs[block_number])
    assert look(model, noise(2, 3, 6, 5)).feats == {}
    assert torch.equal(look(model, noise(2, 3, 6, 5)).sr, output.sr)


def test_under_autocast_images_and_features_stay_in_float32() -> None:
    model = build(TINY, 0)
    exact = look(model, noise(1, 3, 8, 8)).sr
    with torch.autocast("cpu", torch.bfloat16):
        output = look(model, noise(1, 3, 8, 8), 1.0)
    assert output.sr.dtype == output.feats[1.0].dtype == torch.float32
    assert 0 < (output.sr - exact).abs().max() < 0.02


def test_initial_weights_depend_only_on_the_seed() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = build(TINY, 7)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert same(build(TINY, 7), first)
    assert not same(build(TINY, 8), first)


@pytest.mark.parametrize(
    "spec",
    [
        ModelSpec(n_feats=4, n_resblocks=3),
        ModelSpec(n_feats=5, n_resblocks=1, scale=3),
        ModelSpec(n_feats=3, n_resblocks=2, res_scale=0.3, scale=4),
    ],
)
def test_written_weights_are_read_back_bit_identically(spec: ModelSpec, tmp_path: Path) -> None:
    model = build(spec, 0)
    (tmp_path / "x.safetensors").write_bytes(to_safetensors(model))
    loaded = load_weights(tmp_path / "x.safetensors")
    assert loaded.spec == spec
    assert same(loaded, model)
    assert not loaded.training
    assert torch.equal(look(loaded, noise(1, 3, 6, 6)).sr, look(model, noise(1, 3, 6, 6)).sr)
    (tmp_path / "again.safetensors").write_bytes(to_safetensors(loaded))
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "x.safetensors").read_bytes()


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module.model."])
def test_a_file_with_the_names_of_edsr_pytorch_loads(prefix: str, scale: int, tmp_path: Path) -> None:
    spec = ModelSpec.model_validate({"n_feats": 4, "n_resblocks": 3, "scale": scale})
    model = build(spec, 0)
    state = {prefix + name: value for name, value in released(model).items()}
    torch.save(state, tmp_path / "edsr.pt")
    loaded = load_weights(tmp_path / "edsr.pt")
    assert loaded.spec == spec
    assert same(loaded, model)


@pytest.mark.parametrize("wrapper", ["state_dict", "params", "params_ema"])
def test_a_state_dict_inside_a_checkpoint_loads(wrapper: str, tmp_path: Path) -> None:
    torch.save({wrapper: released(build(TINY, 0)), "epoch": 3}, tmp_path / "edsr.pt")
    assert same(load_weights(tmp_path / "edsr.pt"), build(TINY, 0))


def test_a_new_format_needs_one_detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def renamed(file: WeightFile) -> EDSR | None:
        if not all(name.startswith("netG/") for name in file.state):
            return None
        network: EDSR = build(TINY, 1)
        network.load_state_dict({name.removeprefix("netG/"): value for name, value in file.state.items()})
        return network

    path, original = tmp_path / "renamed.pt", build(TINY, 0)
    torch.save({f"netG/{name}": value for name, value in original.state_dict().items()}, path)
    with pytest.raises(SrkdError, match="holds no network that srkd recognises"):
        load_weights(path)
    monkeypatch.setattr(loading, "DETECTORS", (*loading.DETECTORS[:2], renamed, *loading.DETECTORS[2:]))
    assert same(load_weights(path), original)


def test_a_large_edsr_file_gets_residual_scale_0_1(tmp_path: Path) -> None:
    torch.save(released(EDSR(ModelSpec(n_feats=256, n_resblocks=1))), tmp_path / "edsr.pt")
    assert load_weights(tmp_path / "edsr.pt").spec == ModelSpec(n_feats=256, n_resblocks=1, res_scale=0.1)


class Touch:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self.path), "w")


def refused(path: Path) -> SrkdError:
    with pytest.raises(SrkdError) as caught:
        load_weights(path)
    assert path.name in caught.value.message
    return caught.value


def test_a_file_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    torch.save(state_of(build(TINY, 0)) | {"extra": Touch(ran)}, tmp_path / "x.pt")
    error = refused(tmp_path / "x.pt")
    assert "not a plain file of weights" in error.message
    assert "never pickled code" in error.hint
    (tmp_path / "x.safetensors").write_bytes((tmp_path / "x.pt").read_bytes())
    refused(tmp_path / "x.safetensors")
    assert not ran.exists()
    torch.load(tmp_path / "x.pt", weights_only=False)  # an unrestricted load does execute its code
    assert ran.exists()


def test_a_pickled_network_is_rejected_with_a_hint(tmp_path: Path) -> None:
    torch.save(build(TINY, 0), tmp_path / "x.pt")
    assert "save the state dict" in refused(tmp_path / "x.pt").hint


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello", b"There are no weights in here.\n\n" * 9, b"\x80\x02."])
def test_a_file_that_holds_no_weights_is_refused(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    message = refused(path).message
    assert re.match("cannot read weights|.* is not a plain file of weights", message)
    assert "\n" not in message


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_file_that_is_cut_off_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    if suffix == "pt":
        torch.save(state_of(build(TINY, 0)), path)
    else:
        (path).write_bytes(to_safetensors(build(TINY, 0)))
    path.write_bytes(path.read_bytes()[:-1000])
    assert refused(path).message.startswith("cannot read weights")


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_missing_file_a_folder_and_a_broken_file_are_different_errors(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    assert refused(path).message == f"no weights file '{path}'"
    path.mkdir()
    assert refused(path).message.startswith("cannot read weights")


def changed(tmp_path: Path, suffix: str, **values: Tensor | None) -> Path:
    """Write a network with weights replaced, or left out where None; `__` stands for a point."""
    state = state_of(build(TINY, 0))
    for key, value in values.items():
        name = key.replace("__", ".")
        if value is None:
            del state[name]
        else:
            state[name] = value
    path = tmp_path / f"x.{suffix}"
    if suffix == "pt":
        torch.save(state, path)
    else:
        save_file(state, path, metadata={"srkd": TINY.model_dump_json()})
    return path


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_weight_that_does_not_fit_is_named(suffix: str, tmp_path: Path) -> None:
    fits = f"x.{suffix} does not fit EDSR 4×3: "
    missing = refused(changed(tmp_path, suffix, body__1__body__2__bias=None))
    assert missing.message == fits + "'body.1.body.2.bias' is missing, should be 4"
    surplus = refused(changed(tmp_path, suffix, body__9__bias=noise(2)))
    assert surplus.message == fits + "'body.9.bias' is 2, should be missing"
    wrong = refused(changed(tmp_path, suffix, tail__1__weight=noise(3, 5, 3, 3)))
    assert wrong.message == fits + "'tail.1.weight' is 3×5×3×3, should be 3×4×3×3"


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_is_named(suffix: str, value: float, tmp_path: Path) -> None:
    bias = torch.tensor([0.0, value, 0.0, 0.0])
    error = refused(changed(tmp_path, suffix, head__0__bias=bias))
    assert error.message == f"x.{suffix} is broken: 'head.0.bias' has values that are not finite"


@pytest.mark.parametrize(
    "state",
    [
        {"conv.weight": noise(1)},
        {"head.0.weight": noise(0, 3, 3, 3), "tail.0.0.weight": noise(16, 4, 3, 3)},
        {"head.0.weight": torch.tensor(1.0)},
        {"head.0.weight": noise(4, 3, 3, 3), "tail.0.0.weight": noise(20, 4, 3, 3)},
    ],
)
def test_the_weights_of_another_network_are_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "x.pt")
    error = refused(tmp_path / "x.pt")
    assert error.message.endswith("holds no network that srkd recognises")
    assert "head.0.weight" in error.hint


@pytest.mark.parametrize("holds", [[1, 2], "text", {}, {"params": {"lr": 0.1}}, noise(2)])
def test_a_file_without_a_state_dict_is_rejected(holds: object, tmp_path: Path) -> None:
    torch.save(holds, tmp_path / "x.pt")
    assert refused(tmp_path / "x.pt").message.endswith("holds no state dict")


@pytest.mark.parametrize("metadata", ["", "{}", '{"n_feats": 9999, "n_resblocks": 3}', "[1]"])
def test_an_invalid_spec_is_rejected(metadata: str, tmp_path: Path) -> None:
    save_file(state_of(build(TINY, 0)), tmp_path / "x.safetensors", metadata={"srkd": metadata})
    assert refused(tmp_path / "x.safetensors").message.endswith("holds no network that srkd recognises")


def scores(model: Architecture, folder: Path) -> dict[str, float]:
    """Return the mean of each metric over the images of a folder."""
    upscale, files = network(model, device=torch.device("cpu")), sorted(folder.iterdir())
    rows = []
    for file in files:
        hr = cut(read_rgb(file, file.name), 2)
        rows.append(measure(upscale(file.stem, downscale(hr, 2)), hr, scale=2, metrics=METRICS))
    return {metric: float(np.mean([row[metric] for row in rows])) for metric in METRICS}


@needs_data
@pytest.mark.parametrize(
    ("images", "count", "psnr_y", "ssim_y"), [("set5", 5, 37.8011, 0.95981), ("set14", 14, 33.3730, 0.91595)]
)
def test_a_published_network_reaches_its_scores(
    images: str, count: int, psnr_y: float, ssim_y: float
) -> None:
    model = load_weights(Path(DATA or "") / "weights" / "edsr_r8f64_x2.pt")
    assert model.spec == ModelSpec(n_feats=64, n_resblocks=8)
    assert sum(weight.numel() for weight in model.parameters()) == model.spec.parameters == 779_011
    folder = Path(DATA or "") / images / "HR"
    assert len(list(folder.iterdir())) == count
    found = scores(model, folder)
    assert found["psnr_y"] == pytest.approx(psnr_y, abs=0.002)
    assert found["ssim_y"] == pytest.approx(ssim_y, abs=0.0001)


# Files as users have them


def edsr_of_others() -> dict[str, Tensor]:
    return torch.load(Path(DATA or "") / "weights" / "edsr_r8f64_x2.pt", weights_only=True)  # type: ignore[no-any-return]


def same_sr(path: Path, hints: Hints = Hints(), near: float = 1e-5) -> bool:  # noqa: B008  # it is frozen
    """Return whether a file holds the published network measured above."""
    original = load_weights(Path(DATA or "") / "weights" / "edsr_r8f64_x2.pt")
    lr = noise(1, 3, 12, 12)
    return bool((look(load_weights(path, hints), lr).sr - look(original, lr).sr).abs().max() < near)


def of_range_1(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value / 255 if name.endswith("bias") else value for name, value in state.items()}


def without_shift(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if "_mean." not in name}


@pytest.mark.parametrize("known", [1, 255])
def test_the_value_range_is_read_from_the_subtracted_mean(known: int, tmp_path: Path) -> None:
    torch.save(released(build(TINY, 0), known), tmp_path / "x.pt")
    model = load_weights(tmp_path / "x.pt")
    assert model.file_range == known
    lr = noise(1, 3, 8, 8)
    torch.testing.assert_close(look(model, lr).sr, look(build(TINY, 0), lr).sr, atol=1e-5, rtol=0)
    with pytest.raises(SrkdError, match=f"for values up to {known}"):
        load_weights(tmp_path / "x.pt", Hints(range=1 if known == 255 else 255))


@needs_data
def test_the_value_range_without_a_mean_is_determined_by_a_trial(tmp_path: Path) -> None:
    state = without_shift(edsr_of_others())
    for known, weights in ((255, state), (1, of_range_1(state))):
        torch.save(weights, tmp_path / "x.pt")
        assert load_weights(tmp_path / "x.pt").file_range == known
        assert same_sr(tmp_path / "x.pt")


def test_an_ambiguous_value_range_must_be_given(tmp_path: Path) -> None:
    torch.save(state_of(build(TINY, 0)), tmp_path / "x.pt")
    error = refused(tmp_path / "x.pt")
    assert "does not state if its network works on values up to 1 or up to 255" in error.message
    assert "--range 255" in error.hint
    assert same(load_weights(tmp_path / "x.pt", Hints(range=255)), build(TINY, 0))
    assert load_weights(tmp_path / "x.pt", Hints(range=1)).file_range == 1


def test_another_mean_than_div2ks_is_refused(tmp_path: Path) -> None:
    state = released(build(TINY, 0)) | {"sub_mean.bias": torch.zeros(3)}
    torch.save(state, tmp_path / "x.pt")
    assert "does not subtract DIV2K's mean" in refused(tmp_path / "x.pt").message


@needs_data
def test_the_user_can_set_the_residual_scale(tmp_path: Path) -> None:
    scaled = {name: 10 * v if ".body.2." in name else v for name, v in edsr_of_others().items()}
    torch.save(scaled, tmp_path / "x.pt")
    assert not same_sr(tmp_path / "x.pt")
    assert same_sr(tmp_path / "x.pt", Hints(res_scale=0.1), near=1e-3)


def basicsr(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of `TINY`, which has three blocks, by BasicSR's names."""
    rules = {
        r"head\.0": "conv_first",
        r"body\.(\d)\.body\.0": r"body.\1.conv1",
        r"body\.(\d)\.body\.2": r"body.\1.conv2",
        r"body\.3": "conv_after_body",
        r"tail\.0": "upsample",
        r"tail\.1": "conv_last",
    }
    for theirs, ours in rules.items():
        state = {re.sub(f"^{theirs}(?=\\.)", ours, name): value for name, value in state.items()}
    return state


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_names_of_basicsr_are_read(scale: int, tmp_path: Path) -> None:
    model = build(TINY.model_copy(update={"scale": scale}), 0)
    torch.save({"params": basicsr(state_of(model))}, tmp_path / "x.pth")
    assert "conv_after_body.weight" in basicsr(state_of(model))
    assert same(load_weights(tmp_path / "x.pth", Hints(range=255)), model)


def prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in state.items()}


STATE = released(build(TINY, 0))
ZEROS = {name: torch.zeros_like(value) for name, value in STATE.items()}
ADAM = {
    "state": {0: {"exp_avg": torch.ones(9, 9)}, 1: {"exp_avg": torch.ones(2)}},
    "param_groups": [{"lr": 0.1}],
}


@pytest.mark.parametrize(
    "held",
    [
        {"model": STATE, "epoch": 1},
        {"model_state_dict": STATE, "optimizer_state_dict": ADAM},
        {"train": {"net": {"weights": STATE}}},
        {**STATE, "epoch": 3},
        prefixed("_orig_mod.", STATE),
        prefixed("module._orig_mod.net.", STATE),
        {"state_dict": prefixed("model.net.", STATE) | {"loss.vgg.weight": torch.ones(3)}, "callbacks": {}},
        {"params": ZEROS, "params_ema": STATE},
        prefixed("ema_model.module.", STATE) | prefixed("online_model.", ZEROS) | {"step": torch.tensor(1)},
        prefixed("module.", STATE) | {"n_averaged": torch.tensor(3)},
        {"discriminator": {"fc.weight": torch.ones(99, 99)}, "generator": STATE},
    ],
)
def test_a_network_is_found_inside_trainers_checkpoints(held: dict[str, object], tmp_path: Path) -> None:
    torch.save(held, tmp_path / "x.pt")
    assert same(load_weights(tmp_path / "x.pt"), build(TINY, 0))


def test_a_checkpoint_without_weights_lists_its_keys(tmp_path: Path) -> None:
    torch.save({"epoch": 1, "optimizer": {"lr": 0.1}}, tmp_path / "x.pt")
    assert refused(tmp_path / "x.pt").hint == "its keys: 'epoch', 'optimizer'"


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize(
    ("content", "what", "hint"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n",
            "a Git LFS pointer",
            "git lfs pull",
        ),
        (b"\n<!DOCTYPE html><html></html>", "a web page", "/resolve/"),
        (b"", "empty", "download"),
        (b'{"message": "Not Found"}', "JSON text", "weights"),
        (b"404: Not Found", "text: '404: Not Found'", "download"),
        (b"\x1f\x8b\x08\0\0\0", "a gzip archive", "unpack"),
    ],
)
def test_other_file_types_are_named(
    content: bytes, what: str, hint: str, suffix: str, tmp_path: Path
) -> None:
    (tmp_path / f"x.{suffix}").write_bytes(content)
    error = refused(tmp_path / f"x.{suffix}")
    assert f"it is {what}" in error.message
    assert hint in error.hint


def test_other_archive_types_are_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("weights/edsr.pt", b"x")
    assert "a zip archive of other files" in refused(tmp_path / "x.pt").message


def test_a_file_that_was_cut_is_called_incomplete(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:3000])
    error = refused(path)
    assert error.message.endswith("it is incomplete or damaged")
    assert error.hint == "download or copy it again"


def test_attempts_are_listed_and_a_damaged_edsr_is_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rcan = {"head.0.weight": noise(4, 3, 3, 3), "tail.0.0.weight": noise(16, 4, 3, 3)}
    rcan |= {f"body.0.body.{i}.body.0.weight": noise(4, 4, 3, 3) for i in range(5)}
    torch.save(rcan, tmp_path / "rcan.pt")
    error = refused(tmp_path / "rcan.pt")
    assert error.message.endswith("holds no network that srkd recognises")
    assert "tried: EDSR" in error.hint
    assert "spandrel" in error.hint
    assert "--model package.module:Class" in error.hint
    known = build(TINY, 3)
    monkeypatch.setattr(loading, "DETECTORS", (*loading.DETECTORS[:2], lambda file: known))
    assert load_weights(tmp_path / "rcan.pt") is known
    damaged = {name: value for name, value in STATE.items() if name != "body.1.body.2.bias"}
    torch.save(damaged, tmp_path / "x.pt")
    assert load_weights(tmp_path / "x.pt") is known
    monkeypatch.setattr(loading, "DETECTORS", loading.DETECTORS[:2])
    assert "does not fit EDSR 4×3: 'body.1.body.2.bias' is missing" in refused(tmp_path / "x.pt").message


NAMES_OF_WEIGHTS = st.sampled_from(
    [*STATE, "sub_mean.bias", "conv_first.weight", "conv_after_body.weight", "a", ""]
)
TENSORS = st.sampled_from(
    [*STATE.values(), torch.ones(()), torch.ones(3), torch.full((3,), torch.nan), torch.ones(0, 3)]
)
THINGS = st.recursive(
    st.one_of(TENSORS, st.integers(), st.text(max_size=9), st.none(), st.just(STATE)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(NAMES_OF_WEIGHTS, st.text(max_size=5), st.integers(0, 9)), inner, max_size=6
        ),
        st.builds(lambda name, value: STATE | {name: value}, NAMES_OF_WEIGHTS, TENSORS),
    ),
    max_leaves=12,
)


@settings(derandomize=True, deadline=None, database=None, max_examples=100)
@given(held=THINGS)
def test_any_checkpoint_is_read_or_rejected_with_a_message(held: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.pt"
        torch.save(held, file)
        try:
            said = str(load_weights(file).spec)
        except SrkdError as error:
            said = error.message + error.hint
    assert said.isprintable()
