"""The requirements of every architecture for training, distillation and evaluation."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from srkd_bench.config.artifacts import Run, Weights
from srkd_bench.config.network import ForeignSpec, ModelSpec, NetworkSpec, RcanSpec, network_spec
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import IntegrityError, MissingError, SrkdError
from srkd_bench.core.files import put
from srkd_bench.core.progress import Display
from srkd_bench.data.image_set import open_set
from srkd_bench.data.patches import Patches
from srkd_bench.evaluation import scoring
from srkd_bench.evaluation.inference.tiling import tiled
from srkd_bench.evaluation.scoring import network
from srkd_bench.experiments.transfer import bundle
from srkd_bench.methods import registry
from srkd_bench.methods.features import check_resume
from srkd_bench.networks import probing, resolve
from srkd_bench.networks.architectures import custom
from srkd_bench.networks.base import BODY, HEAD, Architecture, Output
from srkd_bench.networks.inspection import inspected
from srkd_bench.networks.loading import build, load_weights, to_safetensors
from srkd_bench.networks.stored import load
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.training.learner import Learner
from srkd_bench.training.loop import fit
from tests.conftest import Srkd

CPU = torch.device("cpu")
HERE = "tests.support.architectures:"


def named(name: str, scale: int = 2, **rest: object) -> ForeignSpec:
    return ForeignSpec.model_validate({"arch": HERE + name, "scale": scale, **rest})


EDSR = ModelSpec(n_feats=4, n_resblocks=4)
RCAN = RcanSpec(arch="rcan", n_resgroups=4, n_resblocks=1, n_feats=4, reduction=2)
SPECS = [EDSR, RCAN, *(named(name) for name in ("Distiller", "Careless", "Attentive", "Strided"))]
every_architecture = pytest.mark.parametrize("spec", SPECS, ids=str)
every_scale = pytest.mark.parametrize("scale", [2, 3, 4])


def ready(spec: NetworkSpec, scale: int = 2) -> Architecture:
    model = build(spec.model_copy(update={"scale": scale}), 0)
    return (inspected(model) if isinstance(model, custom.Foreign) else model).eval()


def look(model: Architecture, lr: Tensor, *taps: float) -> Output:
    output = model(lr, taps)
    assert isinstance(output, Output)
    return output


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def looks_nearby(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention takes the fourth power of an image's side."""
    monkeypatch.setattr(probing, "FARTHEST", 30)


# The contract


@every_scale
@every_architecture
def test_sr_is_larger_by_the_scale_and_the_batch_is_not_modified(spec: NetworkSpec, scale: int) -> None:
    lr = noise(2, 3, 10, 7)
    before = lr.clone()
    sr = look(ready(spec, scale), lr).sr
    assert sr.shape == (2, 3, 10 * scale, 7 * scale)
    assert sr.dtype == torch.float32
    assert torch.equal(lr, before)


@every_architecture
def test_features_are_float32_maps_with_gradients_to_the_student(
    spec: NetworkSpec,
) -> None:
    model = ready(spec)
    if isinstance(model.spec, ForeignSpec) and not model.spec.blocks:
        pytest.skip("it has no blocks")
    with torch.autocast("cpu", torch.bfloat16):
        feats = look(model, noise(2, 3, 8, 6), 0.25, 1.0).feats
    assert list(feats) == [0.25, 1.0]
    for one in feats.values():
        assert (one.dtype, one.shape[0], one.shape[2:]) == (torch.float32, 2, (8, 6))
    assert not torch.equal(feats[0.25], feats[1.0])
    grads = torch.autograd.grad(feats[1.0].sum(), list(model.parameters()), allow_unused=True)
    assert any(grad is not None and grad.abs().max() > 0 for grad in grads)


@pytest.mark.parametrize("tap", [HEAD, 0.25, 0.5, 1.0, BODY])
@every_architecture
def test_a_network_continues_from_features_that_replace_its_own(spec: NetworkSpec, tap: float) -> None:
    model, lr = ready(spec), noise(2, 3, 8, 6)
    if isinstance(model.spec, ForeignSpec) and (tap in (HEAD, BODY) or not model.spec.blocks):
        with pytest.raises(SrkdError, match=r"cannot be read|can be read"):
            model.resume(tap, noise(2, 4, 8, 6), lr)
        return
    whole = look(model, lr, tap, 1.0)
    own = whole.feats[tap].detach().requires_grad_()
    sr = model.resume(tap, own, lr)
    assert torch.equal(sr, whole.sr)
    (grad,) = torch.autograd.grad(sr.square().sum(), own)
    assert grad.abs().sum((1, 2, 3)).min() > 0
    other = own.detach() + 0.1
    before = other.clone()
    assert not torch.equal(model.resume(tap, other, lr), whole.sr)
    assert torch.equal(other, before)
    with torch.autocast("cpu", torch.bfloat16):
        assert model.resume(tap, other, lr).dtype == torch.float32


@every_architecture
def test_earlier_blocks_get_no_gradient_from_a_resumed_network(spec: NetworkSpec) -> None:
    model, lr = ready(spec), noise(2, 3, 8, 6)
    if isinstance(model.spec, ForeignSpec) and not model.spec.blocks:
        pytest.skip("it has no blocks")
    feats = look(model, lr, 0.5, 1.0).feats
    before, after = (list(model.parameters()) for _ in range(2))
    sr = model.resume(1.0, feats[1.0].detach(), lr)
    grads = torch.autograd.grad(sr.square().sum(), before, allow_unused=True)
    blocks = torch.autograd.grad(look(model, lr, 1.0).feats[1.0].square().sum(), after, allow_unused=True)
    both = sum(a is not None and b is not None for a, b in zip(grads, blocks, strict=True))
    assert any(grad is not None for grad in grads)
    # A dense network passes what earlier blocks computed on to its tail, and EDSR and RCAN their head.
    assert both == {"EDSR 4×4": 2, "RCAN 4×1×4": 2, "Distiller": 20}.get(str(spec), 0)


@every_scale
@every_architecture
def test_a_network_with_a_halo_is_identical_in_tiles(spec: NetworkSpec, scale: int) -> None:
    model = ready(spec, scale)
    assert (model.halo is None) == (str(spec) in {"Attentive", "Strided", "RCAN 4×1×4"})
    lr = noise(1, 3, 41, 57)
    with torch.no_grad():
        if model.halo is None:
            with pytest.raises(ValueError, match="needs whole images"):
                tiled(model, lr, 5)
            return
        torch.testing.assert_close(tiled(model, lr, 5), look(model, lr).sr, atol=1e-5, rtol=0)


@every_architecture
def test_written_weights_are_read_back_bit_identically(spec: NetworkSpec, tmp_path: Path) -> None:
    model, file = ready(spec, 3), tmp_path / "x.safetensors"
    file.write_bytes(to_safetensors(model))
    loaded = load_weights(file)
    assert loaded.spec.digest == model.spec.digest
    assert not loaded.training
    assert torch.equal(look(loaded, noise(1, 3, 6, 6)).sr, look(model, noise(1, 3, 6, 6)).sr)
    assert to_safetensors(loaded) == file.read_bytes()


@every_architecture
def test_initial_weights_depend_only_on_the_seed(spec: NetworkSpec) -> None:
    def first(seed: int) -> Tensor:
        return next(build(spec, seed).parameters())

    torch.manual_seed(1)
    one = first(7)
    torch.manual_seed(2)
    assert torch.equal(first(7), one)
    assert not torch.equal(first(8), one)


class Noise(Patches):
    """Patches of noise instead of images."""

    def __init__(self, train: TrainSpec) -> None:
        self.train = train

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        lr = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(step))
        return lr, F.interpolate(lr, scale_factor=2)


def learner(method: str, student: NetworkSpec, teacher: Architecture, folder: Path) -> Learner:
    built = registry.build(method, {})
    run = Run(
        model=student,
        train=TrainSpec(batch=4, patch=8, steps=4, learning_rate=1e-3),
        data="noise",
        pixels="",
        method=method,
        params=registry.identity(built, method),
        seed=3,
        teacher=None,
    )
    folder.mkdir(exist_ok=True)
    return Learner(run, built, teacher if built.looks else None, noise(8, 3, 8, 8), folder, CPU)


@pytest.mark.parametrize(
    ("student", "teacher"),
    [("Attentive", "Distiller"), ("Distiller", "EDSR"), ("EDSR", "Attentive"), ("RCAN", "EDSR")],
)
def test_students_of_any_architecture_are_independent_of_other_learners(
    student: str, teacher: str, tmp_path: Path
) -> None:
    built_in: dict[str, NetworkSpec] = {"EDSR": EDSR, "RCAN": RCAN}
    guide, own = (ready(built_in.get(name) or named(name)) for name in (teacher, student))
    guide.requires_grad_(False)
    results: list[list[Tensor]] = []
    for names in (["none", "hkd", "rvkd"], ["rvkd"]):
        torch.manual_seed(len(names))
        group = [learner(name, own.spec, guide, tmp_path / f"{name}{len(names)}") for name in names]
        before = [value.clone() for value in group[-1].student.state_dict().values()]
        fit(group, guide, Noise(group[0].run.train), device=CPU)
        assert [one.error for one in group] == [None] * len(names)
        assert [one.step for one in group] == [4] * len(names)
        results.append([value.clone() for value in group[-1].student.state_dict().values()])
        assert not all(torch.equal(a, b) for a, b in zip(before, results[-1], strict=True))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_a_student_with_dropout_and_batch_norm_resumes_bit_identically(tmp_path: Path) -> None:
    own = ready(named("Attentive")).spec
    whole = learner("none", own, ready(EDSR), tmp_path / "whole")
    fit([whole], None, Noise(whole.run.train), device=CPU)
    half = learner("none", own, ready(EDSR), tmp_path / "half")
    for step in range(2):
        half.advance(*Noise(half.run.train).batch(step), None, {})  # type: ignore[arg-type]  # `none` asks no view
    half.save()
    torch.manual_seed(9)
    again = learner("none", own, ready(EDSR), tmp_path / "half")
    assert again.step == 2
    fit([again], None, Noise(again.run.train), device=CPU)
    for name, value in whole.student.state_dict().items():
        assert torch.equal(value, again.student.state_dict()[name]), name


def test_an_interrupted_step_restores_batch_norm_statistics(tmp_path: Path) -> None:
    one = learner("none", ready(named("Attentive")).spec, ready(EDSR), tmp_path / "one")
    before = [buffer.clone() for buffer in one.student.buffers()]
    one._before = one.generator.get_state(), [buffer.clone() for buffer in one._buffers()]
    one._see(noise(4, 3, 8, 8))
    assert not all(torch.equal(a, b) for a, b in zip(before, one.student.buffers(), strict=True))
    one.rewind()
    assert all(torch.equal(a, b) for a, b in zip(before, one.student.buffers(), strict=True))


def test_validation_keeps_a_student_in_training_mode(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "VALIDATION_SIDE", 8)
    model = ready(named("Attentive")).train()
    assert 0 < scoring.validation(open_set(store, "photos-test", 2), CPU)(model) < 40
    assert all(module.training for module in model.modules())


# What is found in a network


def test_the_counts_of_an_edsr_match_its_spec() -> None:
    edsr = build(ModelSpec(n_feats=6, n_resblocks=3, scale=3), 0)

    class Wrapped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.edsr = edsr

        def forward(self, x: Tensor) -> Tensor:
            sr: Tensor = self.edsr(x).sr
            return sr

    spec = inspected(custom.Foreign(named("Distiller", 3), Wrapped())).spec
    assert (spec.parameters, spec.multiply_adds) == (edsr.spec.parameters, edsr.spec.multiply_adds)
    assert spec.blocks == ["edsr.body.0", "edsr.body.1", "edsr.body.2"]


def test_the_halo_of_an_edsr_equals_the_measured_one() -> None:
    edsr = build(ModelSpec(n_feats=4, n_resblocks=3, scale=2), 0)
    assert (
        probing.reach(lambda lr: look(edsr, lr).sr, 2, CPU) == 10
    )  # its last convolution looks half a pixel far
    assert edsr.halo == 11


@pytest.mark.parametrize(
    ("spec", "blocks"),
    [
        (named("Distiller"), [f"blocks.{i}" for i in range(4)]),
        (named("Distiller", blocks="blocks"), [f"blocks.{i}" for i in range(4)]),
        (named("Distiller", blocks=["head", "join"]), ["head", "join"]),
        (named("Careless"), ["body.2", "body.4"]),
        (named("Attentive"), ["layers.0", "layers.1", "layers.2"]),
        (named("Channels"), []),
        (named("Strided"), []),
    ],
    ids=str,
)
def test_blocks_are_the_largest_list_of_equal_modules_or_the_named_ones(
    spec: ForeignSpec, blocks: list[str]
) -> None:
    found = ready(spec).spec
    assert isinstance(found, ForeignSpec)
    assert found.blocks == blocks


def test_taps_are_depths_in_the_list_of_blocks_unaffected_by_in_place_layers() -> None:
    model = ready(named("Careless"))
    outputs: dict[str, Tensor] = {}
    assert isinstance(model, custom.Foreign)
    for path in ("body.2", "body.4"):
        model.network.get_submodule(path).register_forward_hook(
            lambda module, inputs, output, path=path: outputs.update({path: output.clone()})
        )
    feats = look(model, noise(1, 3, 6, 5), 0.5, 1.0).feats
    assert torch.equal(feats[0.5], outputs["body.2"])
    assert torch.equal(feats[1.0], outputs["body.4"])
    assert feats[0.5].min() < 0  # the ReLU after it works in place


@pytest.mark.parametrize(("tap", "where"), [(HEAD, "head"), (BODY, "body's last convolution")])
def test_only_features_of_blocks_can_be_read(tap: float, where: str) -> None:
    with pytest.raises(SrkdError, match=f"after its {where} cannot be read"):
        look(ready(named("Careless")), noise(1, 3, 6, 5), tap)


def test_a_padded_network_continues_from_features_without_the_padding() -> None:
    plain = ready(named("Distiller"))
    assert isinstance(plain, custom.Foreign)
    model = custom.Foreign(plain.spec, plain.network, lambda lr: F.pad(lr, (0, 3, 0, 2), "replicate"))
    lr = noise(2, 3, 6, 5)
    whole = look(model, lr, 0.5)
    features = whole.feats[0.5].detach().requires_grad_()
    assert features.shape[2:] == (6, 5)
    sr = model.resume(0.5, features, lr)
    assert torch.equal(sr, whole.sr)
    (grad,) = torch.autograd.grad(sr.sum(), features)
    assert grad.abs().max() > 0
    assert not torch.equal(model.resume(0.5, features.detach() + 1, lr), whole.sr)


def test_a_module_that_returns_several_outputs_continues_with_the_first_replaced() -> None:
    output = (torch.zeros(1, 6, 2), "size")
    given = custom.in_the_form_of(output, torch.arange(12.0).reshape(1, 2, 2, 3))
    assert isinstance(given, tuple)
    tokens, size = given
    assert tokens[0, :, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert size == "size"


def test_a_network_that_ignores_its_blocks_cannot_be_resumed() -> None:
    lr = noise(2, 3, 6, 5)
    for spec in (named("Aside"), named("Aside", params={"echo": True})):
        model = ready(spec)
        problem = "its own features give another SR" if spec.params else "its SR does not depend on them"
        refused = f"^Aside.* cannot be resumed from features at depth 0.5: {problem}$"
        with pytest.raises(SrkdError, match=refused) as caught:
            check_resume(model, lr, (0.5,))
        assert "blocks" in caught.value.hint
    check_resume(ready(named("Distiller")), lr, (0.5, 1.0))


def test_tokens_are_reshaped_to_maps() -> None:
    model = ready(named("Attentive"))
    assert isinstance(model, custom.Foreign)
    seen: list[Tensor] = []
    model.network.get_submodule("layers.2").register_forward_hook(
        lambda module, inputs, output: seen.append(output)
    )
    feats = look(model, noise(2, 3, 4, 6), 1.0).feats[1.0]
    assert torch.equal(feats[1, :, 2, 3], seen[0][1, 2 * 6 + 3])


@pytest.mark.parametrize(
    ("spec", "message", "hint"),
    [
        (named("Distiller", blocks="rest"), "has no module 'rest'", "it has head, blocks, join, tail"),
        (named("Distiller", blocks=["tail"]), "'tail' gives 1×3×64×96 for 32×48 pixels", "head, join"),
        (named("Channels", blocks="layers"), "'layers' is never called", "embed, tail.0"),
        (named("Channels", blocks=["layers.1"]), "'layers.1' gives 1×32×48×6", "embed, tail.0"),
        (named("SameSize"), "SameSize maps 1×3×32×48 to 1×3×32×48, not to 1×3×64×96", "enlarges by 2"),
        (named("Failing"), "Failing fails on an image of 32×48 pixels: a wire is loose", "one tensor"),
        (named("Distiller", params={"width": "x"}), "cannot be built", "called with width, scale"),
        (named("Distiller", params={"depth": 3}), "cannot be built: .*depth", "called with depth, scale"),
        (named("no_class"), "is not a network", "inherits torch.nn.Module"),
        (named("Nothing"), "has no class 'Nothing'", ""),
        (ForeignSpec(arch="subprocess:Popen", params={"args": "false"}), "is not a network", "inherits"),
        (
            ForeignSpec(arch="spandrel:SPAN"),
            "SPAN is known by its weights alone",
            "arch: package.module:Class",
        ),
    ],
    ids=str,
)
def test_an_unsuitable_class_is_rejected_by_name(spec: ForeignSpec, message: str, hint: str) -> None:
    with pytest.raises(SrkdError, match=message) as caught:
        ready(spec)
    assert hint in caught.value.hint


def test_a_given_overlap_replaces_the_measured_one() -> None:
    model = ready(named("Attentive", overlap=9))
    assert model.halo == 9
    assert tiled(model, noise(1, 3, 40, 40), 8).shape == (1, 3, 80, 80)


def test_a_network_that_needs_much_memory_uses_smaller_tiles() -> None:
    wide, narrow = (ready(named("Distiller", params={"width": width})).pixel_bytes for width in (64, 8))
    assert wide == pytest.approx(3 * 4 * 4 * 64)  # what all four blocks gave, joined, in float32
    assert narrow < wide


def test_an_image_too_large_for_a_network_without_tiles_gets_a_hint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = ready(named("Attentive"))

    def no_memory(*_: object) -> Output:
        raise MemoryError

    monkeypatch.setattr(custom.Foreign, "forward", no_memory)
    model.__dict__["pixel_bytes"], model.__dict__["_reach"] = 1.0, None
    with pytest.raises(SrkdError, match="on a whole image of 7×5 pixels") as caught:
        network(model, device=CPU)("", noise(5, 7, 3).mul(255).byte().numpy())
    assert "overlap" in caught.value.hint


# Identity


def test_digests_of_edsr_runs_are_unchanged() -> None:
    run = Run(
        model=ModelSpec(n_feats=16, n_resblocks=4),
        train=TrainSpec(steps=10),
        data="photos",
        pixels="p",
        method="hkd",
        params={"hkd": {"version": 1, "weight": 1.0}},
        seed=0,
        teacher=Weights(sha256="a" * 64, model=ModelSpec(n_feats=32, n_resblocks=8, scale=2)),
    )
    assert run.digest == "d455cb861c3b98a0061b313a0c9553a438f9368a38a3542661e0bcc98cbe6900"
    assert Run.model_validate(run.model_dump(mode="json")) == run


def test_a_digest_includes_source_and_blocks_but_not_counts() -> None:
    spec = ready(named("Distiller")).spec
    assert isinstance(spec, ForeignSpec)
    assert spec.counts is not None
    assert spec.model_copy(update={"counts": None}).digest == spec.digest
    changes: list[dict[str, object]] = [
        {"source": "0" * 64}, {"blocks": []}, {"params": {"width": 16}}, {"overlap": 3}
    ]  # fmt: skip
    for change in changes:
        assert spec.model_copy(update=change).digest != spec.digest
    again = network_spec(spec.model_dump(mode="json"))
    assert again.digest == spec.digest


MINE = """
from torch import nn

class Mine(nn.Module):
    def __init__(self, width, scale):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, 3 * scale**2, 1))
        self.up = nn.PixelShuffle(scale)

    def forward(self, x):
        return self.up(self.body(x))
"""


def test_a_network_is_inspected_once_and_again_when_its_file_changes(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRKD_TRUST", "1")
    (tmp_path / "mine_once.py").write_text(MINE, encoding="utf-8")
    store.begin()
    spec = ForeignSpec(arch="mine_once:Mine", params={"width": 4})
    first = resolve.resolved(spec, store)
    assert first.parameters == 3 * 4 * 9 + 4 + 4 * 12 + 12
    with monkeypatch.context() as patch:
        patch.setattr(resolve, "_look", lambda spec: pytest.fail("looked again"))
        assert resolve.resolved(spec, store) == first
    (tmp_path / "mine_once.py").write_text(MINE + "\n# changed\n", encoding="utf-8")
    assert resolve.resolved(spec, store).digest != first.digest
    with pytest.raises(SrkdError, match=r"mine_once\.py has changed"):
        build(first, 0)
    (store.home / "networks.json").write_text("damaged", encoding="utf-8")
    assert resolve.resolved(spec, store).parameters == first.parameters


def test_local_code_runs_only_if_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SRKD_TRUST", raising=False)
    (tmp_path / "mine_trap.py").write_text(
        "from pathlib import Path\nPath('ran').touch()\n" + MINE, encoding="utf-8"
    )
    spec = ForeignSpec(arch="mine_trap:Mine", params={"width": 4})
    with pytest.raises(SrkdError, match="'mine_trap' is code in this folder") as caught:
        build(spec, 0)
    assert "SRKD_TRUST=1" in caught.value.hint
    assert not Path("ran").exists()
    with pytest.raises(MissingError, match="no module 'mine_nowhere'"):
        build(ForeignSpec(arch="mine_nowhere:Mine"), 0)
    monkeypatch.setenv("SRKD_TRUST", "1")
    assert build(spec, 0).spec == spec


def test_a_file_that_claims_a_huge_network_is_rejected(tmp_path: Path) -> None:
    model = ready(named("Distiller"))
    claims = model.spec.model_copy(update={"params": {"width": 3_000}})
    model.spec = claims
    (tmp_path / "x.safetensors").write_bytes(to_safetensors(model))
    with pytest.raises(SrkdError, match="far larger than its weights"):
        load_weights(tmp_path / "x.safetensors")


@pytest.mark.parametrize("honest", [True, False])
def test_an_imported_network_does_not_import_its_class(
    honest: bool, store: ArtifactStore, display: Display, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_far.py").write_text(
        "from pathlib import Path\nPath('ran').touch()\n" + MINE, encoding="utf-8"
    )
    model = ready(named("Distiller"))
    claims = ForeignSpec(arch="mine_far:Mine", source="0" * 64)
    model.spec = claims
    key = Weights(sha256="a" * 64, model=claims if honest else claims.model_copy(update={"scale": 3}))
    with store.writing(key) as folder:
        put(folder / "weights.safetensors", to_safetensors(model))
        put(folder / "card.json", "{}")
    bundle.export(store, [key.place], tmp_path / "x.tar", display)
    other = ArtifactStore(tmp_path / "other")
    if honest:
        assert bundle.take_in(other, tmp_path / "x.tar", display).new == [key.place]
        with pytest.raises(SrkdError, match="is code in this folder"):
            load(key, other)
    else:
        with pytest.raises(IntegrityError, match="holds no Mine"):
            bundle.take_in(other, tmp_path / "x.tar", display)
    assert not Path("ran").exists()


# Through the command

TINY = [
    "--set", "data={train: photos, test: [photos-test], scale: 2}",
    "--set", "train={batch: 4, patch: 8, steps: 3, learning_rate: 0.001}",
    "--set", f"student={{arch: '{HERE}Distiller', params: {{width: 4}}}}",
    "--set", "params={}",
]  # fmt: skip


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_student_and_a_teacher_of_other_architectures_make_a_table(srkd: Srkd, scale: int) -> None:
    taught = [
        *TINY,
        "--set", f"data.scale={scale}",
        "--set", f"teacher={{model: {{arch: '{HERE}Careless'}}}}",
    ]  # fmt: skip
    code, out, err = srkd("distill", "-m", "none", "-m", "rvkd", *taught, "--device", "cpu", "--json")
    assert code == 0, err
    assert {one["model"] for one in json.loads(out)["scores"]} == {"bicubic", "teacher", "none", "rvkd"}
    code, out, err = srkd("ls", "runs")
    assert code == 0
    assert "Distiller (width=4)" in out
    assert "Careless" in out
    assert srkd("distill", "-m", "hkd", *taught, "--dry-run", "--device", "cpu")[0] == 0


def test_a_method_that_needs_features_is_rejected_before_work_without_any(srkd: Srkd) -> None:
    words = [*TINY, "--set", f"student={{arch: '{HERE}Channels'}}"]
    words += ["--set", "teacher={model: {n_feats: 4, n_resblocks: 4}}", "--device", "cpu"]
    code, _, err = srkd("distill", "-m", "rvkd", *words)
    assert code == 1
    assert "rvkd does not work here: no features of Channels can be read" in " ".join(err.split())
    assert "[embed, tail.0]" in " ".join(err.split())
    assert "training" not in err


@pytest.mark.parametrize("method", ["crosskd", "mipkd"])
def test_a_teacher_that_cannot_be_resumed_is_rejected_before_work(srkd: Srkd, method: str) -> None:
    words = [*TINY, "--set", f"teacher={{model: {{arch: '{HERE}Aside'}}}}", "--device", "cpu"]
    code, _, err = srkd("distill", "-m", method, *words)
    assert code == 1
    said = " ".join(err.split())
    assert f"{method} does not work here: Aside cannot be resumed from features at depth" in said
    assert "its SR does not depend on them" in said
    assert "training" not in err


def test_methods_that_resume_networks_train_with_any_that_can_be_resumed(srkd: Srkd, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    Image.fromarray(np.arange(48 * 40 * 3).astype(np.uint8).reshape(48, 40, 3)).save(
        tmp_path / "small" / "a.png"
    )
    words = [*TINY, "--set", f"teacher={{model: {{arch: '{HERE}Attentive'}}}}", "--device", "cpu", "--json"]
    code, out, err = srkd("distill", "-m", "crosskd", "-m", "mipkd", *words, "--set", "data.test=[./small]")
    assert code == 0, err
    assert {one["model"] for one in json.loads(out)["scores"]} == {"bicubic", "teacher", "crosskd", "mipkd"}


def test_a_wrong_key_of_a_network_is_named_with_the_nearest(srkd: Srkd) -> None:
    code, _, err = srkd("run", *TINY, "--set", "student.block=x")
    assert code == 1
    assert "student" in err
    assert "did you mean 'blocks'?" in err
