"""Networks of one architecture as one grouped network."""

import pytest
import torch

from srkd_bench.config.network import ModelSpec, RcanSpec
from srkd_bench.networks.grouped import grouped
from srkd_bench.networks.loading import build

EDSR = ModelSpec(n_feats=4, n_resblocks=2)
RCAN = RcanSpec(arch="rcan", n_resgroups=2, n_resblocks=1, n_feats=4, reduction=2)


@pytest.mark.parametrize(
    "spec", [EDSR, EDSR.model_copy(update={"scale": 3}), EDSR.model_copy(update={"scale": 4}), RCAN], ids=str
)
def test_each_network_has_its_own_output_and_shares_memory_with_its_group(spec: ModelSpec | RcanSpec) -> None:
    networks = [build(spec, seed) for seed in range(3)]
    images = [torch.rand(2, 3, 5, 7) for _ in networks]
    expected = [network(lr).sr for network, lr in zip(networks, images, strict=True)]
    whole = grouped(networks, 4)  # type: ignore[arg-type]  # build returns residual networks
    sr = whole(torch.cat([*images, torch.zeros(2, 3, 5, 7)], 1)).sr
    for number, one in enumerate(expected):
        torch.testing.assert_close(sr[:, 3 * number : 3 * number + 3], one, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(networks[1](images[1]).sr, expected[1])
    sr.sum().backward()
    for name, weight in networks[2].named_parameters():
        joined, rows = whole.get_parameter(name), slice(2 * len(weight), 3 * len(weight))
        assert joined.grad is not None
        assert weight.grad is not None
        assert torch.equal(weight.grad, joined.grad[rows])
        with torch.no_grad():
            weight.fill_(7)
        assert (joined[rows] == 7).all()
        assert (joined[3 * len(weight) :] == 0).all()
