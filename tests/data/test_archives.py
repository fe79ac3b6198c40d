"""Archives: accepted and rejected ones, and that nothing is ever written."""

import gzip
import io
import random
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from srkd_bench.core.errors import IntegrityError, MissingError, SrkdError
from srkd_bench.data import archives
from srkd_bench.data.archives import Entry, images_in, read_images, select_hr

NOISE = random.Random(0)
IMAGES = {
    "Set5/HR/head.png": NOISE.randbytes(3000),
    "Set5/HR/baby.PNG": NOISE.randbytes(20_000),
    "Set5/LR/babyx2.jpg": NOISE.randbytes(512),
}
REST = {"Set5/readme.txt": b"hello", "Set5/HR/._baby.png": b"finder", "__MACOSX/Set5/baby.png": b"finder"}
REST |= {"Set5/.cache/baby.png": b"hidden", "Set5/__MACOSX/baby.png": b"finder"}
FORMATS = ["zip", "tar", "tar.gz"]
BOMB = bytes(64 * 10**6)  # packs to a thousandth


@pytest.fixture(autouse=True)
def _deep_inside_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")


def pack_zip(source: Path, *members: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    with zipfile.ZipFile(source, "w") as packed:
        for info, data in members:
            packed.writestr(info, data, zipfile.ZIP_DEFLATED)
    return source


def pack_tar(source: Path, *members: tuple[tarfile.TarInfo, bytes], tail: bytes = b"") -> Path:
    """Write a tar, compressed by its suffix; headers without data are written unchanged."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for info, data in members:
            if data:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            else:
                tar.addfile(info)
    data = packed.getvalue() + tail
    compressors: dict[str, Callable[[bytes], bytes]]
    compressors = {".gz": gzip.compress, ".tar": bytes}
    source.write_bytes(compressors[source.suffix](data))
    return source


def pack(source: Path, files: Mapping[str, bytes]) -> Path:
    if source.suffix == ".zip":
        return pack_zip(source, *files.items())
    return pack_tar(source, *((tarfile.TarInfo(name), data) for name, data in files.items()))


def header(name: str, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, b""


def zip_header(name: str, **fields: Any) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def patch(source: Path, old: bytes, new: bytes) -> Path:
    data = source.read_bytes()
    assert old in data
    source.write_bytes(data.replace(old, new))
    return source


def tree(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


def refused(source: Path, reason: str) -> IntegrityError:
    """Check that the source is rejected for the reason, listed or read, and that nothing was written."""
    before = tree(source.parent)
    with pytest.raises(IntegrityError, match=reason):
        list(read_images(source, ["x.png"]))
    with pytest.raises(IntegrityError, match=reason) as caught:
        images_in(source)
    assert str(source) in caught.value.message
    assert tree(source.parent) == before
    return caught.value


# what is read


@pytest.mark.parametrize("kind", FORMATS)
def test_images_are_read_unchanged_from_every_kind_of_archive(tmp_path: Path, kind: str) -> None:
    source = pack(tmp_path / f"x.{kind}", IMAGES | REST)
    before = tree(tmp_path)
    assert images_in(source) == [Entry(path, len(data)) for path, data in IMAGES.items()]
    assert dict(read_images(source, list(IMAGES))) == IMAGES
    assert tree(tmp_path) == before


@pytest.mark.parametrize("kind", FORMATS)
def test_only_the_wanted_images_are_read_in_the_order_of_the_archive(tmp_path: Path, kind: str) -> None:
    head, _, last = IMAGES
    source = pack(tmp_path / f"x.{kind}", IMAGES)
    assert list(read_images(source, [last, head])) == [(head, IMAGES[head]), (last, IMAGES[last])]


def test_an_archive_is_recognised_by_its_content(tmp_path: Path) -> None:
    for kind in FORMATS:
        source = pack(tmp_path / f"x.{kind}", IMAGES).rename(tmp_path / "x.dat")
        assert [entry.path for entry in images_in(source)] == list(IMAGES)


def test_a_tar_that_ends_in_a_zip_is_a_tar(tmp_path: Path) -> None:
    inner = pack(tmp_path / "inner.zip", {"wrong.png": b"wrong"}).read_bytes()
    source = pack(tmp_path / "x.tar", {"right.png": b"right", "inner.zip": inner})
    assert images_in(source) == [Entry("right.png", 5)]


def test_a_folder_is_read_under_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere.png"
    elsewhere.write_bytes(b"linked")
    for name, data in (IMAGES | REST).items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    (tmp_path / "Set5" / "link.png").symlink_to(elsewhere)
    (tmp_path / "Set5" / "folder.png").mkdir()
    expected = IMAGES | {"Set5/link.png": b"linked"}

    monkeypatch.chdir(tmp_path / "Set5")
    for source in (tmp_path / "Set5", Path()):
        paths = [entry.path for entry in images_in(source)]
        assert paths == sorted(expected)
        assert dict(read_images(source, paths)) == expected


def test_a_packed_tar_is_unpacked_once_and_forwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{number}.png" for number in range(50)]
    source = pack(tmp_path / "x.tar.gz", dict.fromkeys(names, IMAGES["Set5/HR/head.png"]))
    unpacked = count_gzip(monkeypatch)
    assert [path for path, _ in read_images(source, names[::-1])] == names
    assert len(unpacked) == 1


def test_a_folder_named_like_an_image_is_ignored(tmp_path: Path) -> None:
    image = (tarfile.TarInfo("x.png"), b"image")
    packed_tar = pack_tar(tmp_path / "x.tar", header("folder.png", type=tarfile.DIRTYPE), image)
    packed_zip = pack_zip(tmp_path / "x.zip", ("folder.png/", b""), ("x.png", b"image"))
    for source in (packed_tar, packed_zip):
        assert images_in(source) == [Entry("x.png", 5)]


def test_a_missing_source_and_one_without_images_are_different_errors(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no file or folder"):
        images_in(tmp_path / "x.zip")
    for source in (tmp_path, pack(tmp_path / "x.zip", REST), pack(tmp_path / "x.tar", REST)):
        with pytest.raises(MissingError, match="no images") as caught:
            images_in(source)
        assert ".png" in caught.value.hint


def test_a_missing_image_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"'x\.png' is gone"):
        list(read_images(pack(tmp_path / "x.zip", IMAGES), ["x.png"]))


# what is refused


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize(
    "name",
    [
        *("/x.png", "//host/x.png", "../x.png", "a/../../x.png", "..", "../x.txt", "a\nb.png"),
        *("C:/x.png", "c:x.png", "..\\x.png", "\\\\host\\x.png"),
    ],
)
def test_names_outside_the_archive_are_rejected(tmp_path: Path, kind: str, name: str) -> None:
    source = pack(tmp_path / f"x.{kind}", {"fine.png": b"fine", name: b"evil"})
    error = refused(source, "has an unsafe name")
    assert repr(name) in error.message


def test_an_absolute_name_writes_nothing_where_it_points(tmp_path: Path) -> None:
    for kind in ("zip", "tar"):
        refused(pack(tmp_path / f"x.{kind}", {f"{tmp_path}/a/x.png": b"evil"}), "has an unsafe name")


def test_a_nul_in_a_name_is_refused(tmp_path: Path) -> None:
    refused(patch(pack(tmp_path / "x.zip", {"a.pngX.txt": b""}), b"a.pngX", b"a.png\0"), "unsafe name")
    refused(patch(pack(tmp_path / "x.zip", {"X.png": b""}), b"X.png", b"\0.png"), "unsafe name")
    info, _ = header("a.png", pax_headers={"path": "a.png\0.txt"})
    data = info.tobuf(tarfile.PAX_FORMAT) + bytes(1024)
    (tmp_path / "x.tar").write_bytes(data)
    refused(tmp_path / "x.tar", "unsafe name")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_in_an_images_place_is_refused_and_any_other_ignored(tmp_path: Path, kind: bytes) -> None:
    image = (tarfile.TarInfo("x.png"), b"image")
    licence = header("LICENSE", type=kind, linkname="../../etc/passwd")
    assert images_in(pack_tar(tmp_path / "x.tar", licence, image)) == [Entry("x.png", 5)]
    refused(pack_tar(tmp_path / "x.tar", header("y.png", type=kind, linkname="x.png"), image), "is a link")


def test_a_link_in_a_zip_is_refused_likewise(tmp_path: Path) -> None:
    link = (stat.S_IFLNK | 0o777) << 16
    image = ("x.png", b"image")
    fine = pack_zip(tmp_path / "x.zip", (zip_header("LICENSE", external_attr=link), b"/etc"), image)
    assert images_in(fine) == [Entry("x.png", 5)]
    refused(pack_zip(tmp_path / "x.zip", (zip_header("y.png", external_attr=link), b"x.png")), "is a link")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"S"])
def test_devices_pipes_and_sparse_files_are_refused(tmp_path: Path, kind: bytes) -> None:
    refused(pack_tar(tmp_path / "x.tar", header("dev/null", type=kind)), "neither a plain file nor a folder")


def test_the_same_path_twice_is_refused(tmp_path: Path) -> None:
    twice = [(tarfile.TarInfo("x.png"), b"one"), (tarfile.TarInfo("./x.png"), b"two")]
    refused(pack_tar(tmp_path / "x.tar", *twice), "is there twice")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    source = pack(tmp_path / "x.zip", {"x.png": b"secret"})
    data = bytearray(source.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    source.write_bytes(data)
    refused(source, "is encrypted")


def test_a_zip_that_is_not_deflated_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_LZMA) as packed:
        packed.writestr("x.png", b"image")
    refused(tmp_path / "x.zip", "otherwise than by deflate")


# bombs


def count_gzip(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list of the bytes unpacked by each gzip file opened later."""
    unpacked: list[int] = []

    class Counting(gzip.GzipFile):
        def __init__(self, source: Path) -> None:
            super().__init__(source)
            self.index = len(unpacked)
            unpacked.append(0)

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            unpacked[self.index] += len(data)
            return data

        def seek(self, offset: int, whence: int = 0) -> int:
            if whence == 0:  # `tell` is a seek by nothing
                unpacked[self.index] += abs(offset - super().seek(0, 1))
            return super().seek(offset, whence)

    monkeypatch.setattr(gzip, "GzipFile", Counting)
    return unpacked


def test_a_gzip_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pack_tar(tmp_path / "x.tar.gz", (tarfile.TarInfo("x.png"), BOMB))
    unpacked = count_gzip(monkeypatch)
    refused(source, "exceeds the 1.,...,... bytes")
    assert max(unpacked) < 10_000


def test_a_bomb_in_many_members_is_refused_at_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [(tarfile.TarInfo(f"{number}.png"), BOMB[: 4 * 10**6]) for number in range(16)]
    source = pack_tar(tmp_path / "x.tar.gz", *members)
    unpacked = count_gzip(monkeypatch)
    refused(source, "exceeds the 1.,...,... bytes")
    assert max(unpacked) < 16 * 10**6


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_bomb_in_a_header_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: bytes) -> None:
    info, _ = header("x.png", type=kind)
    source = pack_tar(tmp_path / "x.tar.gz", (info, BOMB))
    unpacked = count_gzip(monkeypatch)
    refused(source, "grows more than 200 times")
    assert max(unpacked) < 10_000


def test_a_bomb_after_the_end_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = pack_tar(tmp_path / "x.tar.gz", (tarfile.TarInfo("x.png"), b"image"), tail=BOMB)
    unpacked = count_gzip(monkeypatch)
    refused(source, "grows more than 200 times")
    assert max(unpacked) < 16 * 10**6


def test_a_header_that_points_backwards_is_rejected(tmp_path: Path) -> None:
    info, _ = header("x", type=tarfile.GNUTYPE_LONGNAME, size=-1024)
    (tmp_path / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    refused(tmp_path / "x.tar", "header lies|invalid offset")  # newer Pythons see it first
    info, _ = header("x.png", size=-1024)
    (tmp_path / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    refused(tmp_path / "x.tar", "larger than|invalid offset")


def test_a_stream_seeks_neither_backwards_nor_past_its_limit() -> None:
    stream = archives._Bounded(io.BytesIO(bytes(2000)), Path("x.tar"), limit=1000)
    stream.seek(600)
    for offset in (599, 1001):
        with pytest.raises(IntegrityError, match="header lies"):
            stream.seek(offset)
    assert len(stream.read(400)) == 400


def count_inflated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list of the bytes unpacked by each later call of zlib."""
    inflated: list[int] = []
    decompressobj = zlib.decompressobj

    class Counting:
        def __init__(self, wbits: int) -> None:
            self.wrapped = decompressobj(wbits)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.wrapped, name)

        def decompress(self, data: bytes, limit: int) -> bytes:
            unpacked = self.wrapped.decompress(data, limit)
            inflated.append(len(unpacked))
            return unpacked

    monkeypatch.setattr(zlib, "decompressobj", Counting)
    return inflated


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = pack(tmp_path / "x.zip", {"x.png": BOMB})
    inflated = count_inflated(monkeypatch)
    refused(source, "grows more than 200 times")
    assert not inflated


def test_a_zip_bomb_in_many_members_is_refused(tmp_path: Path) -> None:
    source = pack(tmp_path / "x.zip", {f"{number}.png": BOMB[: 4 * 10**6] for number in range(4)})
    refused(source, "exceeds the 10,000,000 bytes")


def test_too_large_files_and_too_many_members_are_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [pack(tmp_path / f"x.{kind}", IMAGES) for kind in ("zip", "tar")]
    for name, value, reason in [
        ("MAX_MEMBER", 19_999, "'Set5/HR/baby.PNG' is larger than 19,999 bytes"),
        ("MAX_TOTAL", 22_999, "'Set5/HR/baby.PNG' exceeds the 22,999 bytes"),
        ("MAX_MEMBERS", 2, "'Set5/LR/babyx2.jpg' exceeds the 2 members"),
    ]:
        with monkeypatch.context() as patched:
            patched.setattr(archives, name, value)
            for source in sources:
                refused(source, reason)


def test_a_zip_with_a_false_size_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(5_000_000)
    inflated = count_inflated(monkeypatch)
    for declared, reason in [(1000, "Bad CRC"), (6_000_000, "lacks some of its 6,000,000 bytes")]:
        source = pack(tmp_path / "x.zip", {"x.png": data})
        patch(source, struct.pack("<I", len(data)), struct.pack("<I", declared))
        inflated.clear()
        assert images_in(source) == [Entry("x.png", declared)]
        with pytest.raises(IntegrityError, match=reason):
            list(read_images(source, ["x.png"]))
        assert sum(inflated) <= max(declared, 4096)


# damage


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("kept", [3, 100, 12_000, 23_000])
def test_a_truncated_archive_is_refused(tmp_path: Path, kind: str, kept: int) -> None:
    source = pack(tmp_path / f"x.{kind}", IMAGES)
    source.write_bytes(source.read_bytes()[:kept])
    refused(source, "cannot read|ends too early")


def test_a_tar_cut_between_two_members_is_refused(tmp_path: Path) -> None:
    source = pack(tmp_path / "x.tar", IMAGES)
    source.write_bytes(source.read_bytes()[: 512 + 3072])
    refused(source, "ends too early")


def test_a_tar_with_a_broken_header_is_not_read_as_a_shorter_tar(tmp_path: Path) -> None:
    source = patch(pack(tmp_path / "x.tar", IMAGES), b"Set5/HR/baby.PNG", b"Set5/HR/bABY.PNG")
    refused(source, "ends too early")


def test_a_flipped_bit_of_an_image_is_detected(tmp_path: Path) -> None:
    baby = IMAGES["Set5/HR/baby.PNG"]
    plain = pack(tmp_path / "x.tar", IMAGES).read_bytes()
    packed = gzip.compress(plain, compresslevel=0)
    (tmp_path / "x.tar.gz").write_bytes(packed.replace(baby[:8], baby[:7] + b"!"))
    refused(tmp_path / "x.tar.gz", "CRC check failed")
    source = patch(pack(tmp_path / "x.zip", IMAGES), baby[:8], baby[:7] + b"!")
    with pytest.raises(IntegrityError, match=r"cannot read .*x\.zip: Bad CRC"):
        list(read_images(source, list(IMAGES)))


@pytest.mark.parametrize("kind", FORMATS)
def test_no_flipped_byte_causes_a_traceback(tmp_path: Path, kind: str) -> None:
    source = pack(tmp_path / f"x.{kind}", {"x.png": b"image" * 100, "y.png": b"y"})
    data = source.read_bytes()
    for position in [*range(0, min(len(data), 600), 5), *range(600, len(data), 512)]:
        source.write_bytes(data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :])
        with suppress(SrkdError):
            assert [path for path, _ in read_images(source, [entry.path for entry in images_in(source)])]


def test_a_zip_that_python_cannot_read_is_refused(tmp_path: Path) -> None:
    refused(
        patch(pack(tmp_path / "x.zip", {"é.png": b"image"}), "é".encode(), b"\xff\xff"), "decode byte 0xff"
    )
    refused(patch(pack(tmp_path / "x.zip", IMAGES), b"PK\1\2\x14\3\x14", b"PK\1\2\x14\3\xff"), "version")


def test_other_files_are_rejected_with_a_list_of_supported_archives(tmp_path: Path) -> None:
    for data in (b"", b"hello", IMAGES["Set5/HR/baby.PNG"], gzip.compress(b"hello")):
        (tmp_path / "x").write_bytes(data)
        assert "tar.gz" in refused(tmp_path / "x", "cannot read").hint


# which are HR


@pytest.mark.parametrize(
    ("hr", "others"),
    [
        ("benchmark/Set5/HR/baby.png", ["benchmark/Set5/LR_bicubic/X2/babyx2.png"]),
        ("benchmark/B100/HR/101085.png", ["benchmark/B100/LR_bicubic/X4/101085x4.png"]),
        (
            "DIV2K_train_HR/0001.png",
            ["DIV2K_train_LR_bicubic/X2/0001x2.png", "DIV2K_train_LR_wild/0001x4w1.png"],
        ),
        ("Set5_HR/baby.png", ["Set5_LR_x2/baby.png"]),
        ("set5/HR/baby.png", ["set5/LR_x2_symmetric/baby.png"]),
        (
            "Set5/image_SRF_2/img_001_SRF_2_HR.png",
            ["Set5/image_SRF_2/img_001_SRF_2_LR.png", "Set5/image_SRF_2/img_001_SRF_2_bicubic.png"],
        ),
        (
            "HR/Set5/x2/baby_HR_x2.png",
            ["LR/LRBI/Set5/x2/baby_LRBI_x2.png", "LR/LRBD/Set5/x3/baby_LRBD_x3.png"],
        ),
        (
            "Set5/original/baby.png",
            ["Set5/LRbicx2/baby.png", "Set5/LR_x2_symmetric/baby.png", "Set5/LRx4/baby.png"],
        ),
        ("BSDS500-master/BSDS500/data/images/train/100075.jpg", []),
        ("photos/0801.png", ["photos/0801x2.png", "photos/0801X3.png", "photos/0801x8.png"]),
        ("Set5/baby.png", ["Set5/babyx2.png"]),
        ("my_lr_and_hr/HR/matrix2.png", ["my_lr_and_hr/LR/matrix2.png"]),
        ("all-lr/Set5_HR/baby.png", ["all-lr/Set5/baby.png"]),
        ("photos/lrrh.png", []),
        ("lr_hr_pairs/baby.png", []),
        ("photos/x2.png", []),
    ],
)
def test_hr_images_are_recognised_in_every_known_layout(hr: str, others: list[str]) -> None:
    assert select_hr([*others, hr]) == [hr]
