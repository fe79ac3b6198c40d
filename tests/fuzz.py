"""Fuzz the four entry points ("doors") for untrusted files: each must accept a file or raise an SrkdError.

`python -m tests.fuzz images --seconds 600` searches for other results with atheris, which is in the extra `fuzz`.
`test_fuzz.py` tries a few hundred files per door with hypothesis.
"""

import argparse
import gzip
import importlib
import io
import mmap
import os
import struct
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DOORS = ("suites", "weights", "images", "archives")
SEPARATOR = b"\x1e"  # between a suite and its settings
WRAPPINGS: list[Callable[[bytes], bytes]] = [bytes, gzip.compress]
ODDITIES = [  # of YAML
    b"x: [1, 0x1f, 1:30, 010, 1e400, .nan, 2001-01-01]",
    *(b"x: &a [1]\ny: *a", b'x: !!int "7"', b"? [1]\n: 2", b"x: {<<: {a: 2}}", b"x: |\n b\n", b'"\\x41": 2'),
]
PNG = b"\x89PNG\r\n\x1a\n"

Door = Callable[[bytes, Path], bool]


def door(name: str) -> Door:
    """Return the function that passes bytes to a door and returns whether they were accepted.

    It imports the tested code: atheris instruments only modules that are imported after it.
    """
    from srkd_bench.core.errors import SrkdError

    attempt: Callable[[bytes, Path], object]
    if name == "suites":
        from srkd_bench.config.suite_file import load_suite

        def attempt(data: bytes, file: Path) -> object:
            text, *settings = data.split(SEPARATOR)
            file.write_bytes(text)
            return load_suite(str(file), [setting.decode(errors="surrogateescape") for setting in settings])

    elif name == "weights":
        from srkd_bench.networks.loading import load_weights

        def attempt(data: bytes, file: Path) -> object:
            file.write_bytes(data)
            return load_weights(file)

    elif name == "images":
        from srkd_bench.data.images import read_rgb

        def attempt(data: bytes, file: Path) -> object:
            pixels = read_rgb(io.BytesIO(repaired_png(data)), file.name)
            assert pixels.ndim == 3
            return pixels

    else:
        from srkd_bench.data.archives import images_in, read_images

        def attempt(data: bytes, file: Path) -> object:
            wrap = WRAPPINGS[data[0] % len(WRAPPINGS)] if data else bytes
            file.write_bytes(wrap(repaired_tar(data[1:])))
            return list(read_images(file, [entry.path for entry in images_in(file)]))

    def tried(data: bytes, folder: Path) -> bool:
        try:
            attempt(data, folder / "x.yaml")
        except SrkdError as error:
            if not (error.message.strip() and error.message.isprintable()):
                raise AssertionError(f"no message for a terminal: {error.message!r}") from error
            return False
        return True

    return tried


@contextmanager
def within(megabytes: int) -> Iterator[None]:
    """Check that peak memory does not increase by more, if the system reports it."""
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")

    def memory(kind: str) -> int:
        return int(status.read_text(encoding="utf-8").split(kind)[1].split()[0])

    try:
        reset.write_text("5", encoding="utf-8")  # reset the peak
    except OSError:
        yield
        return
    before = memory("VmRSS:")
    yield
    assert memory("VmHWM:") - before < megabytes * 1000


def repaired_png(data: bytes) -> bytes:
    """Return a PNG with corrected checksums, so that its chunks are parsed."""
    if not data.startswith(PNG):
        return data
    repaired, place = data[:8], 8
    while place + 12 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        content = data[place + 4 : place + 8 + size]
        repaired += data[place : place + 4] + content + struct.pack(">I", zlib.crc32(content))
        place += 12 + size
    return repaired


def repaired_tar(data: bytes) -> bytes:
    """Return a tar with corrected checksums in everything that looks like a header."""
    if data[257:262] != b"ustar":
        return data
    repaired = bytearray(data)
    for place in range(0, len(data) - 511, 512):
        block = repaired[place : place + 512]
        if block[257:262] == b"ustar":
            block[148:156] = b" " * 8
            repaired[place + 148 : place + 156] = b"%06o\0 " % sum(block)
    return bytes(repaired)


def seeds(name: str) -> list[bytes]:
    """Return small valid files of every kind that a door accepts, and a few that it rejects."""
    return list({"suites": _suites, "weights": _weights, "images": _images, "archives": _archives}[name]())


def _suites() -> Iterator[bytes]:
    from srkd_bench.config.suite_names import suite_files

    settings = (
        b"train.steps=200",
        b"params.ckd.weight=0.5",
        b"teacher={weights: edsr-official}",
        b"seeds=[0, 1]",
    )
    for file in suite_files().values():
        text = b"\n".join(line.split(b"#")[0] for line in file.read_bytes().splitlines() if line[:1] != b"#")
        yield text
        yield SEPARATOR.join([text, *settings])
    yield from ODDITIES


def _weights() -> Iterator[bytes]:
    import torch
    from safetensors.torch import save

    from srkd_bench.config.network import ModelSpec
    from srkd_bench.networks.architectures.edsr import EDSR
    from tests.support.weight_files import released

    spec = ModelSpec(n_feats=1, n_resblocks=1)
    state = released(EDSR(spec))
    halves = {f"module.{name}": value.half() for name, value in state.items()}
    yield save(state, {"srkd": spec.model_dump_json()})
    yield save(halves)
    yield save({name: value.to(torch.float8_e4m3fn) for name, value in state.items()})
    holds: list[Any] = [
        state,
        {"params": halves, "epoch": 3, "rate": 0.1},
        {"head.0.weight": torch.ones(1).expand(9)},
    ]
    for packed in (True, False):
        for held in holds:
            file = io.BytesIO()
            torch.save(held, file, _use_new_zipfile_serialization=packed)
            yield file.getvalue()


def _images() -> Iterator[bytes]:
    from PIL import Image

    ramp = bytes(range(6 * 5 * 4))
    turned = Image.Exif()
    turned[0x0112] = 6
    rgb = Image.frombytes("RGB", (6, 5), ramp[:90])
    rgba, cmyk = (Image.frombytes(mode, (6, 5), ramp) for mode in ("RGBA", "CMYK"))
    mirrored = rgb.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    shapes: list[tuple[Image.Image, str, dict[str, Any]]] = [
        *((rgb.convert(mode), "PNG", {}) for mode in ("RGB", "L", "P", "1", "LA", "I;16")),
        *((rgb.convert(mode), "TIFF", {}) for mode in ("RGB", "L", "P", "1", "LA", "F", "I;16", "YCbCr")),
        *((rgb.convert(mode), "BMP", {}) for mode in ("RGB", "L", "P", "1")),
        *(
            (rgb, "TIFF", {"compression": f"tiff_{name}"})
            for name in ("lzw", "deflate", "adobe_deflate", "jpeg")
        ),
        (rgb, "TIFF", {"compression": "packbits", "exif": turned}),
        (rgb.convert("1"), "TIFF", {"compression": "group4"}),
        (rgb.convert("P"), "PNG", {"transparency": 3}),
        (rgb, "PNG", {"exif": turned, "dpi": (72, 72), "icc_profile": ramp}),
        (rgb, "PNG", {"save_all": True, "append_images": [mirrored]}),
        (rgba, "PNG", {}),
        (rgba, "BMP", {}),
        (cmyk, "TIFF", {}),
        (cmyk, "JPEG", {}),
        (rgb, "JPEG", {"exif": turned, "progressive": True, "comment": b"x"}),
        (rgb.convert("L"), "JPEG", {"restart_marker_rows": 1}),
        (rgb, "MPO", {"save_all": True, "append_images": [rgb]}),
        (rgb, "WEBP", {"lossless": True, "exif": turned}),
        (rgba, "WEBP", {"quality": 20}),
        (rgb, "WEBP", {"save_all": True, "append_images": [mirrored]}),
        (rgb, "GIF", {}),
    ]
    for image, kind, options in shapes:
        file = io.BytesIO()
        image.save(file, kind, **options)
        yield file.getvalue()


def _archives() -> Iterator[bytes]:
    files = {"Set5/HR/baby.png": b"baby" * 9, "Set5/" + "long/" * 30 + "é.jpg": b"e", "readme.txt": b"hello"}
    for format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=format, pax_headers={"comment": "é"}) as tar:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size, info.mtime = len(content), 0.5 if format == tarfile.PAX_FORMAT else 0
                tar.addfile(info, io.BytesIO(content))
            for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE):
                info = tarfile.TarInfo("LICENSE")
                info.type, info.linkname = kind, "x" * 120 if format == tarfile.GNU_FORMAT else "x"
                tar.addfile(info)
        for wrapping in range(len(WRAPPINGS)):
            yield bytes([wrapping]) + packed.getvalue()
    sparse = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "x.png",
        "GNU.sparse.realsize": "9",
    }
    old_sparse = {"GNU.sparse.map": "0,1,5,1", "GNU.sparse.size": "9"}
    for headers in (sparse, old_sparse):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            info = tarfile.TarInfo("y.png")
            info.size, info.pax_headers = 512, headers
            tar.addfile(info, io.BytesIO(b"1\n0\n1\n".ljust(512, b"\0")))
        yield b"\0" + packed.getvalue()
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", method) as archive:
            for name, content in files.items():
                with archive.open(name, "w", force_zip64=method == zipfile.ZIP_STORED) as member:
                    member.write(content)
            archive.comment = b"comment"
        yield b"\0" + packed.getvalue()


def main() -> int:
    """Fuzz one door in a separate process, so that a crash is counted too."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("door", choices=DOORS)
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    try:
        atheris = importlib.import_module("atheris")
    except ImportError:
        print("atheris is not installed: pip install -e '.[fuzz]'", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix=f"srkd-fuzz-{arguments.door}-"))
    counts = mmap.mmap(-1, 16)  # opened and refused, written by the child
    child = os.fork()
    if not child:
        _fuzz(atheris, arguments.door, arguments.seconds, folder, counts)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    opened, refused = struct.unpack("QQ", counts[:])
    crashes = [file for file in folder.iterdir() if file.is_file() and "-" in file.name]
    for file in crashes:
        print(f"{arguments.door}: see {file}")
    print(
        f"{arguments.door}: {opened + refused:,} inputs tried, {refused:,} refused, {opened:,} accepted, "
        f"crashes {max(len(crashes), status != 0)}"
    )
    return int(status != 0)


def _fuzz(atheris: Any, name: str, seconds: int, folder: Path, counts: mmap.mmap) -> None:
    with atheris.instrument_imports(
        include=["srkd_bench", "PIL", "yaml", "zipfile", "tarfile", "pickletools"]
    ):
        tried = door(name)
    corpus, work = folder / "corpus", folder / "work"
    for place in (corpus, work):
        place.mkdir()
    for number, data in enumerate(seeds(name)):
        (corpus / f"{number}").write_bytes(data)
    totals = [0, 0]

    def once(data: bytes) -> None:
        totals[not tried(data, work)] += 1
        counts[:] = struct.pack("QQ", *totals)

    resident = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * mmap.PAGESIZE // 2**20
    options = [
        f"-max_total_time={seconds}",
        f"-rss_limit_mb={resident + 1024}",
        "-timeout=30",
        "-max_len=20000",
        "-print_final_stats=1",
        f"-artifact_prefix={folder}/",
    ]
    atheris.Setup([sys.argv[0], str(corpus), *options], once)
    atheris.Fuzz()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
