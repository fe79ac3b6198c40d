"""RCAN: its size, its formula, and its authors' files."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from srkd_bench.config.network import ModelSpec, RcanSpec, network_spec
from srkd_bench.config.suite import TeacherSpec
from srkd_bench.config.suite_file import validated
from srkd_bench.core.errors import SrkdError
from srkd_bench.networks import loading
from srkd_bench.networks.architectures import spandrel
from srkd_bench.networks.architectures.rcan import RCAN, ChannelAttention
from srkd_bench.networks.architectures.residual import DIV2K_MEAN
from srkd_bench.networks.architectures.spandrel import why_not
from srkd_bench.networks.base import BODY, HEAD, Architecture, Output
from srkd_bench.networks.loading import build, load_weights
from srkd_bench.networks.resolve import Hints
from srkd_bench.networks.weight_files import WeightFile
from tests.support.weight_files import released

every_scale = pytest.mark.parametrize("scale", [2, 3, 4])
MEAN_SHIFTS = 2 * (9 + 3)  # fixed layers sub_mean and add_mean, which published counts include


def rcan(groups: int, blocks: int, feats: int, reduction: int = 16, scale: int = 2) -> RcanSpec:
    sizes = {"n_resgroups": groups, "n_resblocks": blocks, "n_feats": feats}
    return RcanSpec.model_validate({"arch": "rcan", **sizes, "reduction": reduction, "scale": scale})


def network(spec: RcanSpec) -> RCAN:
    model = build(spec, 0)
    assert isinstance(model, RCAN)
    return model.eval()


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def saved(state: dict[str, Tensor], path: Path) -> Path:
    torch.save(state, path)
    return path


@pytest.mark.parametrize(
    ("spec", "published"),
    [(rcan(10, 20, 64), 15_444_667), (rcan(10, 20, 64, scale=4), 15_592_379)],
    ids=str,
)
def test_the_authors_networks_have_their_published_number_of_parameters(
    spec: RcanSpec, published: int
) -> None:
    assert spec.parameters + MEAN_SHIFTS == published


@pytest.mark.parametrize(
    "spec", [rcan(10, 20, 64), rcan(10, 6, 64), *(rcan(2, 3, 8, 4, scale) for scale in (2, 3, 4))], ids=str
)
def test_counts_match_the_built_network(spec: RcanSpec) -> None:
    model = RCAN(spec)
    with torch.no_grad(), FlopCounterMode(display=False) as flops:
        model(noise(1, 3, 6, 5))
    assert sum(weight.numel() for weight in model.parameters()) == spec.parameters
    attention = 2 * spec.n_feats * (spec.n_feats // spec.reduction)  # once an image
    attention *= spec.n_resgroups * spec.n_resblocks
    assert flops.get_total_flops() / 2 == 6 * 5 * spec.multiply_adds + attention


def test_channel_attention_multiplies_channels_by_the_sigmoid_of_a_bottleneck_of_their_means() -> None:
    layer = ChannelAttention(2, 2)
    squeeze, _, excite, _ = layer.conv_du
    assert isinstance(squeeze, nn.Conv2d)
    assert isinstance(excite, nn.Conv2d)
    with torch.no_grad():
        squeeze.weight.copy_(torch.tensor([1.0, -1.0]).view(1, 2, 1, 1))
        squeeze.bias.copy_(torch.tensor([0.5]))  # type: ignore[union-attr]
        excite.weight.copy_(torch.tensor([2.0, 0.0]).view(2, 1, 1, 1))
        excite.bias.copy_(torch.tensor([-1.0, 0.0]))  # type: ignore[union-attr]
    x = torch.tensor([[[[1.0, 3.0]], [[0.0, 1.0]]]])  # means 2 and 0.5; bottleneck 2 - 0.5 + 0.5 = 2
    factors = torch.sigmoid(torch.tensor([3.0, 0.0])).view(1, 2, 1, 1)
    torch.testing.assert_close(layer(x), x * factors)


def test_blocks_and_groups_add_their_input() -> None:
    model = network(rcan(1, 1, 4, 2))
    group = model.body[0]
    block = group.body[0]  # type: ignore[index]
    x = noise(1, 4, 5, 5)
    torch.testing.assert_close(block(x), x + block.body(x))  # type: ignore[operator,union-attr]
    torch.testing.assert_close(group(x), x + group.body(x))  # type: ignore[operator]


def test_taps_are_the_outputs_of_residual_groups() -> None:
    model = network(rcan(4, 1, 4, 2))
    outputs: dict[int, Tensor] = {}
    for i, group in enumerate(model.body, start=1):
        group.register_forward_hook(lambda module, inputs, output, i=i: outputs.update({i: output.clone()}))
    output = model(noise(2, 3, 6, 5), (0.25, 0.5, 1.0))
    assert isinstance(output, Output)
    for tap, number in {0.25: 1, 0.5: 2, 1.0: 4}.items():
        assert torch.equal(output.feats[tap], outputs[number])


@every_scale
@pytest.mark.parametrize("tap", [HEAD, 0.5, 1.0, BODY])
def test_resumed_from_its_own_features_it_gives_the_same_sr(scale: int, tap: float) -> None:
    model, lr = network(rcan(2, 1, 4, 2, scale)), noise(2, 3, 6, 5)
    output = model(lr, (tap,))
    assert torch.equal(model.resume(tap, output.feats[tap], lr), output.sr)


@every_scale
def test_a_file_of_the_authors_is_recognised(scale: int, tmp_path: Path) -> None:
    model = network(rcan(3, 2, 8, 4, scale))
    loaded = load_weights(saved({f"module.{k}": v for k, v in released(model).items()}, tmp_path / "x.pt"))
    assert loaded.spec == model.spec
    assert loaded.file_range == 255
    assert torch.equal(loaded(noise(1, 3, 6, 5)).sr, model(noise(1, 3, 6, 5)).sr)


def test_the_names_are_those_of_the_authors() -> None:
    names = set(RCAN(rcan(1, 1, 4, 2, 4)).state_dict())
    layers = ["head.0", "body.1", "tail.0.0", "tail.0.2", "tail.1", "body.0.body.1"]
    layers += [f"body.0.body.0.body.{name}" for name in ("0", "2", "3.conv_du.0", "3.conv_du.2")]
    assert names == {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}


def test_a_network_of_range_0_to_1_is_converted_exactly(tmp_path: Path) -> None:
    model, lr = network(rcan(2, 2, 8, 4)), noise(1, 3, 6, 5)
    mean = torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1)
    x = head = model.head(lr - mean)
    sr = model.tail(head + model.body(x)) + mean  # the same weights, used on 0..1
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    state |= {"sub_mean.weight": torch.eye(3).view(3, 3, 1, 1), "sub_mean.bias": -mean.flatten()}
    loaded = load_weights(saved(state, tmp_path / "x.pt"))
    assert loaded.file_range == 1
    torch.testing.assert_close(loaded(lr).sr, sr, atol=1e-6, rtol=1e-5)
    assert (model(lr).sr - sr).abs().max() > 1e-4


def test_a_file_that_claims_more_blocks_than_it_has_weights_is_not_built(tmp_path: Path) -> None:
    state = released(network(rcan(1, 1, 4, 2)))
    first = "body.0.body.0.body.0.weight"
    state |= {f"body.{i}.body.0.body.0.weight": state[first] for i in range(64)}
    state |= {f"body.0.body.{i}.body.0.weight": state[first] for i in range(64)}
    with pytest.raises(SrkdError, match=r"does not fit RCAN 64×64×4: it has only \d+ weights"):
        load_weights(saved(state, tmp_path / "x.pt"))
    claim = {"srkd": rcan(64, 64, 4, 2).model_dump_json()}
    small = {name: value.contiguous() for name, value in network(rcan(1, 1, 4, 2)).weights().items()}
    save_file(small, tmp_path / "x.safetensors", metadata=claim)
    with pytest.raises(SrkdError, match=r"does not fit RCAN 64×64×4: it has only 18 weights"):
        load_weights(tmp_path / "x.safetensors")


def test_a_file_that_does_not_fit_is_rejected_by_weight(tmp_path: Path) -> None:
    state = released(network(rcan(2, 1, 4, 2)))
    del state["body.1.body.0.body.2.bias"]
    with pytest.raises(SrkdError, match=r"does not fit RCAN 2×1×4: 'body.1.body.0.body.2.bias' is missing"):
        load_weights(saved(state, tmp_path / "x.pt"))


def test_a_file_without_sub_mean_needs_a_stated_model_or_range(tmp_path: Path) -> None:
    model = network(rcan(2, 1, 4, 2))
    path = saved({name: value.contiguous() for name, value in model.state_dict().items()}, tmp_path / "x.pt")
    loaded = load_weights(path, Hints(range=255))
    assert isinstance(loaded, RCAN)
    assert torch.equal(loaded(noise(1, 3, 6, 5)).sr, model(noise(1, 3, 6, 5)).sr)
    if why_not():
        with pytest.raises(SrkdError, match="holds no network that srkd recognises") as caught:
            load_weights(path)
        assert "RCAN (names such as sub_mean.bias" in caught.value.hint


@pytest.mark.parametrize(
    ("hints", "message"),
    [
        (Hints(model=rcan(3, 1, 4, 2)), "does not fit RCAN 3×1×4"),
        (Hints(model=ModelSpec(n_feats=4, n_resblocks=2)), "is RCAN 2×1×4, not EDSR 4×2"),
        (Hints(blocks=("head",)), "is RCAN 2×1×4, which has its own blocks"),
        (Hints(overlap=8), "which has its own blocks"),
        (Hints(range=1), "holds a network for values up to 255"),
        (Hints(res_scale=0.1), "residual scale 1"),
    ],
)
def test_settings_that_contradict_the_file_are_rejected(hints: Hints, message: str, tmp_path: Path) -> None:
    path = saved(released(network(rcan(2, 1, 4, 2))), tmp_path / "x.pt")
    with pytest.raises(SrkdError, match=message):
        load_weights(path, hints)


def test_the_detector_that_knows_the_format_names_the_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def recognise(file: WeightFile) -> Architecture | None:
        asked.append(file.path)
        raise SrkdError("too short for its weights")

    monkeypatch.setattr(spandrel, "detect", recognise)
    monkeypatch.setattr(loading, "DETECTORS", (*loading.DETECTORS[:-1], recognise))
    state = released(network(rcan(2, 1, 4, 2)))
    stated = Hints(model=rcan(3, 1, 4, 2))
    with pytest.raises(SrkdError, match="does not fit RCAN 3×1×4"):
        load_weights(saved(state, tmp_path / "x.pt"), stated)
    assert not asked
    del state["body.1.body.0.body.2.bias"]
    with pytest.raises(SrkdError, match="does not fit RCAN 2×1×4") as caught:
        load_weights(saved(state, tmp_path / "y.pt"))
    assert asked
    assert "too short for its weights" in caught.value.hint


def test_plain_data_with_arch_rcan_are_an_rcan() -> None:
    spec = rcan(10, 6, 64)
    assert str(spec) == "RCAN 10×6×64"
    assert network_spec(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        ({"n_feats": 60}, "n_feats must be a multiple of reduction, 60 is none of 16", ""),
        ({"n_resgroups": 0}, "model.n_resgroups: must be at least 1, not 0", "model.n_resgroups=10"),
        ({"res_scale": 0.1}, "no key in suite, model, named 'res_scale'", ""),
    ],
)
def test_an_invalid_spec_is_one_error_that_names_the_key(
    change: dict[str, object], message: str, hint: str
) -> None:
    model = rcan(10, 6, 64).model_dump(mode="json") | change
    with pytest.raises(SrkdError) as caught:
        validated(TeacherSpec, {"model": model}, "suite")
    assert message in caught.value.message
    assert hint in caught.value.hint
