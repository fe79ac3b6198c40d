"""Malicious weights: rejected by name before they run code or use memory."""

import io
import pickle
import re
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from srkd_bench.config.network import ModelSpec
from srkd_bench.networks.architectures.edsr import EDSR
from srkd_bench.networks.loading import build, load_weights
from tests.data.test_archives import pack_zip
from tests.fuzz import within
from tests.networks.test_loading import TINY, Touch, refused, same, state_of
from tests.support.weight_files import released


class Call:
    """Unpickling it calls a function that torch allows."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.what = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.what


class Stored:
    """A tensor of any claimed size and strides over a storage of any claimed length."""

    def __init__(self, length: int, size: tuple[int, ...], stride: tuple[int, ...]) -> None:
        self.length, self.size, self.stride = length, size, stride

    def __reduce__(self) -> tuple[Any, ...]:
        storage = ("storage", torch.FloatStorage, "0", "cpu", self.length)
        hooks: OrderedDict[str, Any] = OrderedDict()
        return torch._utils._rebuild_tensor_v2, (storage, 0, self.size, self.stride, False, hooks)


class Pickler(pickle.Pickler):
    """Writes storages as torch does; in files of old versions they have one word more."""

    def __init__(self, file: io.BytesIO, extra: tuple[None, ...] = ()) -> None:
        super().__init__(file, 2)
        self.extra = extra

    def persistent_id(self, obj: Any) -> Any:
        return obj + self.extra if isinstance(obj, tuple) and obj[:1] == ("storage",) else None


def claimed(path: Path, state: object, packed: bool) -> Path:
    """Write a file of torch's by hand, with 64 bytes of numbers."""
    file = io.BytesIO()
    if packed:
        Pickler(file).dump(state)
        with zipfile.ZipFile(path, "w") as records:
            for name, data in {"data.pkl": file.getvalue(), "version": b"3\n", "data/0": bytes(64)}.items():
                records.writestr(f"x/{name}", data)
        return path
    for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
        pickle.dump(part, file, 2)
    Pickler(file, extra=(None,)).dump(state)
    pickle.dump(["0"], file, 2)
    path.write_bytes(file.getvalue() + struct.pack("<q", 16) + bytes(64))
    return path


def claiming(size: Callable[[torch.Tensor], Stored], spec: ModelSpec) -> dict[str, Stored]:
    with torch.device("meta"):
        return {name: size(value) for name, value in EDSR(spec).state_dict().items()}


@pytest.mark.parametrize("packed", [True, False])
def test_handmade_files_are_valid_for_torch(tmp_path: Path, packed: bool) -> None:
    file = claimed(tmp_path / "x.pt", {"head.0.weight": Stored(16, (16,), (1,))}, packed)
    assert torch.load(file, weights_only=True)["head.0.weight"].tolist() == [0] * 16


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("length", [17, 10**6, 10**9, 25 * 10**9])
def test_a_small_file_that_claims_large_tensors_is_refused(tmp_path: Path, length: int, packed: bool) -> None:
    with within(megabytes=50):
        refused(claimed(tmp_path / "x.pt", {"x": Stored(length, (length,), (1,))}, packed))


@pytest.mark.parametrize("packed", [True, False])
def test_a_number_that_is_repeated_to_gigabytes_is_refused(tmp_path: Path, packed: bool) -> None:
    huge = {"head.0.weight": torch.zeros(1).half().expand(10**9, 3)}
    torch.save(huge, tmp_path / "x.pt", _use_new_zipfile_serialization=packed)
    with within(megabytes=50):
        assert refused(tmp_path / "x.pt").message.endswith("holds no network that srkd recognises")
    spec = ModelSpec(n_feats=1024, n_resblocks=3)
    state = claiming(lambda value: Stored(16, tuple(value.shape), (0,) * value.ndim), spec)
    with within(megabytes=50):
        error = refused(claimed(tmp_path / "x.pt", state, packed))
    assert error.message == "x.pt is broken: it is too short for its weights"


@pytest.mark.parametrize("packed", [True, False])
def test_small_pickles_that_allocate_memory_are_rejected_uncalled(tmp_path: Path, packed: bool) -> None:
    for call in (Call(bytearray, 2 * 10**9), Call(torch.Tensor, 20_000, 20_000)):
        torch.save({"x": call}, tmp_path / "x.pt", _use_new_zipfile_serialization=packed)
        with within(megabytes=50):
            assert "(it wants '" in refused(tmp_path / "x.pt").message


@pytest.mark.parametrize("packed", [True, False])
def test_code_is_rejected_unexecuted_in_every_container(tmp_path: Path, packed: bool) -> None:
    ran, file = tmp_path / "ran", tmp_path / "x.pt"
    torch.save({"x": Touch(ran)}, file, _use_new_zipfile_serialization=packed)
    for suffix in (".safetensors", ".zip", "", ".pt"):
        file = file.rename(tmp_path / f"x{suffix}")
        message = refused(file).message
        assert re.search("it wants '(io|__builtin__) open'|it is not a safetensors file", message)
    assert not ran.exists()
    torch.load(file, weights_only=False)
    assert ran.exists()


def test_a_compressed_file_is_refused(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(10**6)}, tmp_path / "stored.pt")
    with zipfile.ZipFile(tmp_path / "stored.pt") as stored:
        pack_zip(tmp_path / "x.pt", *((name, stored.read(name)) for name in stored.namelist()))
    assert refused(tmp_path / "x.pt").message.endswith("it is compressed")


@pytest.mark.parametrize("packed", [True, False])
def test_deep_or_recursive_nesting_is_rejected(tmp_path: Path, packed: bool) -> None:
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"params": deep}
    around: dict[str, Any] = {}
    around["state_dict"] = around
    states: list[dict[str, Any]] = [deep, around, {"params": {"params": []}}]
    for state in states:
        torch.save(state, tmp_path / "x.pt", _use_new_zipfile_serialization=packed)
        refused(tmp_path / "x.pt")


@pytest.mark.parametrize(
    "dtype", [torch.int64, torch.int8, torch.bool, torch.complex64, torch.float8_e4m3fn, torch.float8_e5m2]
)
@pytest.mark.parametrize("save", [torch.save, save_file])
def test_numbers_that_are_no_floats_are_refused(
    tmp_path: Path, dtype: torch.dtype, save: Callable[..., None]
) -> None:
    save({name: value.to(dtype) for name, value in state_of(build(TINY, 0)).items()}, tmp_path / "x")
    message = refused(tmp_path / "x").message
    assert message.endswith(f"'head.0.weight' is {dtype}, no float") or "_rebuild_tensor_v3" in message


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("save", [torch.save, save_file])
def test_floats_of_other_lengths_are_converted(
    tmp_path: Path, dtype: torch.dtype, save: Callable[..., None]
) -> None:
    state = {name: value.to(dtype) for name, value in released(build(TINY, 0)).items()}
    save(state, tmp_path / "x")
    assert torch.equal(
        state_of(load_weights(tmp_path / "x"))["head.0.weight"], state["head.0.weight"].float()
    )
    if dtype == torch.float64:
        save(state | {"head.0.weight": state["head.0.weight"] + 1e300}, tmp_path / "x")
        assert refused(tmp_path / "x").message.endswith("values that are not finite")


@pytest.mark.parametrize("kind", ["quantized", "sparse", "meta"])
@pytest.mark.filterwarnings("ignore:.*quantize:UserWarning")
def test_tensors_that_hold_no_plain_numbers_are_refused(tmp_path: Path, kind: str) -> None:
    tensor = torch.ones(4, 3, 3, 3)
    if kind == "quantized":
        tensor = torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8)
    else:
        tensor = tensor.to_sparse() if kind == "sparse" else tensor.to("meta")
    torch.save(state_of(build(TINY, 0)) | {"head.0.weight": tensor}, tmp_path / "x.pt")
    assert "it wants 'torch._utils _rebuild_" in refused(tmp_path / "x.pt").message


def test_a_file_with_a_wrong_suffix_is_read_or_gets_a_hint(tmp_path: Path) -> None:
    state = released(build(TINY, 0))
    save_file(state, tmp_path / "x.pt")
    assert same(load_weights(tmp_path / "x.pt"), build(TINY, 0))
    for packed in (True, False):
        torch.save(state, tmp_path / "x.safetensors", _use_new_zipfile_serialization=packed)
        assert refused(tmp_path / "x.safetensors").hint == "if torch saved it, rename it to .pt"


def test_a_file_of_old_torch_is_read(tmp_path: Path) -> None:
    torch.save(released(build(TINY, 0)), tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    assert same(load_weights(tmp_path / "x.pt"), build(TINY, 0))


@pytest.mark.parametrize("claimed", [10**6 + 1, 2**40, 2**64 - 1])
def test_a_header_that_is_too_long_is_refused(tmp_path: Path, claimed: int) -> None:
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", claimed) + b"{" + b" " * 2 * 10**6)
    assert refused(tmp_path / "x.safetensors").message.endswith(f"its header has {claimed:,} bytes")


def test_a_network_that_is_claimed_to_be_huge_is_not_built(tmp_path: Path) -> None:
    claims = '{"n_feats": 1024, "n_resblocks": 256}'
    save_file(state_of(build(TINY, 0)), tmp_path / "x.safetensors", metadata={"srkd": claims})
    with within(megabytes=200):
        assert "does not fit EDSR 1024×256" in refused(tmp_path / "x.safetensors").message


@pytest.mark.parametrize("claims", ["[" * 9999, '{"n_feats": 1e400}', '{"n_feats": %s}' % ("9" * 9999)])
def test_a_spec_made_to_break_its_reader_is_refused(tmp_path: Path, claims: str) -> None:
    save_file(state_of(build(TINY, 0)), tmp_path / "x.safetensors", metadata={"srkd": claims})
    assert refused(tmp_path / "x.safetensors").message.endswith("holds no network that srkd recognises")


def test_control_characters_in_weight_names_are_escaped(tmp_path: Path) -> None:
    for name in ("\x1b[31m", "a\nb", "\u202e", "x" * 10**6):
        torch.save(state_of(build(TINY, 0)) | {name: torch.ones(1)}, tmp_path / "x.pt")
        message = refused(tmp_path / "x.pt").message
        assert message.isprintable()
        assert len(message) < 300
