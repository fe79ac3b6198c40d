"""The network that fuses several networks: its formula, its size, its file, and what stays constant."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from srkd_bench.config.network import FusionSpec, ModelSpec, NetworkSpec, RcanSpec, network_spec
from srkd_bench.core.errors import SrkdError
from srkd_bench.networks.architectures.custom import Foreign
from srkd_bench.networks.architectures.fusion import Fusion
from srkd_bench.networks.base import BODY, HEAD
from srkd_bench.networks.inspection import inspected
from srkd_bench.networks.loading import build, load_weights, to_safetensors
from tests.support.architectures import __name__ as architectures


def fusion(scale: int = 2, *more: NetworkSpec) -> Fusion:
    sizes = {"n_resgroups": 2, "n_resblocks": 1, "n_feats": 4, "reduction": 2, "scale": scale}
    first = ModelSpec.model_validate({"n_feats": 6, "n_resblocks": 2, "scale": scale})
    second = RcanSpec.model_validate({"arch": "rcan", **sizes})
    fused = {"fused": (first, second, *more), "n_feats": 5, "n_resblocks": 3, "scale": scale}
    model = build(FusionSpec.model_validate(fused), 0)
    assert isinstance(model, Fusion)
    return model.eval()


def corrected(model: Fusion) -> Fusion:
    """Give its last layer weights, as training does."""
    for weight in model.tail[1].parameters():
        torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(1))
    return model


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_an_untrained_fusion_is_the_mean_of_the_networks(scale: int) -> None:
    model, lr = fusion(scale), noise(2, 3, 6, 7)
    expected = torch.stack([network(lr).sr for network in model.fused]).mean(0)
    assert torch.equal(model(lr).sr, expected)
    assert model(lr).sr.shape == (2, 3, 6 * scale, 7 * scale)
    assert not torch.allclose(corrected(model)(lr).sr, expected)


def test_its_correction_is_as_its_layers_say() -> None:
    model, lr = corrected(fusion()), noise(1, 3, 5, 5)
    first, second = (network(lr).sr for network in model.fused)
    x = head = model.head[1](torch.nn.functional.pixel_unshuffle(torch.cat([first, second], 1) - 0.5, 2))
    for block in model.body:
        x = block(x)
    torch.testing.assert_close(model(lr).sr, (first + second) / 2 + model.tail(head + x))


def test_it_has_the_features_of_its_own_blocks() -> None:
    feats = fusion()(noise(2, 3, 6, 7), (HEAD, 0.5, 1.0, BODY)).feats
    assert {tap: one.shape for tap, one in feats.items()} == dict.fromkeys(
        (HEAD, 0.5, 1.0, BODY), (2, 5, 6, 7)
    )
    assert len({one.sum().item() for one in feats.values()}) == 4


@pytest.mark.parametrize("tap", [HEAD, 0.5, 1.0, BODY])
def test_it_can_be_resumed_from_its_features(tap: float) -> None:
    model, lr = corrected(fusion()), noise(2, 3, 6, 7)
    output = model(lr, (tap,))
    torch.testing.assert_close(model.resume(tap, output.feats[tap], lr), output.sr)
    features = output.feats[tap].detach().requires_grad_()
    (gradient,) = torch.autograd.grad(model.resume(tap, features, lr).square().sum(), features)
    assert gradient.any()


def test_only_its_own_layers_are_trained_and_the_networks_stay_in_evaluation_mode() -> None:
    model = corrected(fusion()).train()
    assert {name.partition(".")[0] for name, one in model.named_parameters() if one.requires_grad} == {
        "head", "body", "tail",
    }  # fmt: skip
    assert model.body.training
    assert not any(one.training for one in model.fused.modules())
    model(noise(1, 3, 4, 4)).sr.sum().backward()
    assert all((one.grad is not None) == one.requires_grad for one in model.parameters())


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_weights_and_multiply_adds_are_counted(scale: int) -> None:
    model = fusion(scale)
    assert model.spec.parameters == sum(one.numel() for one in model.parameters())
    with FlopCounterMode(display=False) as flops:
        model(noise(1, 3, 8, 8))
    attention = 2 * 2 * 2 * 4 * 2  # of the RCAN, once an image
    assert flops.get_total_flops() == 2 * model.spec.multiply_adds * 64 + attention
    own = model.spec.multiply_adds - model.spec.frozen_multiply_adds
    assert 0 < own < model.spec.multiply_adds


def test_its_file_contains_the_networks(tmp_path: Path) -> None:
    foreign = network_spec({"arch": f"{architectures}:Distiller", "scale": 2})
    found = inspected(build(foreign, 0))  # type: ignore[arg-type]  # it is foreign
    model = corrected(fusion(2, found.spec))
    path = tmp_path / "fusion.safetensors"
    path.write_bytes(to_safetensors(model))
    loaded, lr = load_weights(path), noise(1, 3, 8, 8)
    assert isinstance(loaded, Fusion)
    assert loaded.spec == model.spec
    assert torch.equal(loaded(lr).sr, model(lr).sr)
    assert isinstance(loaded.fused[2], Foreign)
    assert loaded.spec.parameters == model.spec.parameters
    assert not any(one.requires_grad for one in loaded.fused.parameters())


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    path = tmp_path / "fusion.safetensors"
    path.write_bytes(to_safetensors(fusion()))
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name in ("fused.1.head.0.weight", "head.1.weight"):
        save_file({key: value for key, value in state.items() if key != name}, path, metadata)
        with pytest.raises(SrkdError, match=r"fusion\.safetensors does not fit"):
            load_weights(path)


def test_its_receptive_field_adds_to_the_largest_of_the_networks() -> None:
    edsr = ModelSpec(n_feats=4, n_resblocks=2), ModelSpec(n_feats=4, n_resblocks=5)
    model = build(FusionSpec(fused=edsr, n_feats=4, n_resblocks=3), 0)
    assert model.halo == (2 * 5 + 5) + (2 * 3 + 5)
    assert fusion().halo is None  # an RCAN needs whole images
    assert model.pixel_bytes >= 8 * 4 * 4
