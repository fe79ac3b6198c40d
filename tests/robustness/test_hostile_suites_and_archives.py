"""Malicious suites and archives: rejected by name before they write files or use memory."""

import bz2
import lzma
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from srkd_bench.core.errors import IntegrityError, MissingError
from srkd_bench.data import archives
from srkd_bench.data.archives import Entry, images_in
from tests.data.test_archives import header, pack, pack_tar, pack_zip, refused, zip_header
from tests.fuzz import within

# names


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize(
    "name", ["\x1b[31mx.png", "a\x7f.png", "a\x9b31m.png", "gnp.\u202ex.png", "a\u2066.png", "a\u2028b.txt"]
)
def test_names_with_control_characters_are_rejected(tmp_path: Path, kind: str, name: str) -> None:
    error = refused(pack(tmp_path / f"x.{kind}", {"fine.png": b"fine", name: b"evil"}), "has an unsafe name")
    assert error.message.isprintable()


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    source = pack_tar(tmp_path / "x.tar", (tarfile.TarInfo("caf\udce9.png"), b"image"))  # Latin-1
    refused(source, "has an unsafe name")


def test_names_in_other_scripts_are_accepted(tmp_path: Path) -> None:
    names = ["日本/写真.png", "naïve.png", "nai\u0308ve.png", "صورة.png", "🐈.png"]
    for kind in ("zip", "tar"):
        source = pack(tmp_path / f"x.{kind}", dict.fromkeys(names, b"image"))
        assert [entry.path for entry in images_in(source)] == names


def test_a_folder_with_an_unsafe_name_must_be_renamed(tmp_path: Path) -> None:
    (tmp_path / "a\nb.txt").touch()
    (tmp_path / "fine.png").touch()
    assert images_in(tmp_path) == [Entry(f"{tmp_path.name}/fine.png", 0)]
    (tmp_path / "a\nb.png").touch()
    with pytest.raises(IntegrityError, match="unsafe name") as caught:
        images_in(tmp_path)
    assert caught.value.hint == "rename it"


# what a member is


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_a_device_in_a_zip_is_refused(tmp_path: Path, kind: int) -> None:
    source = pack_zip(tmp_path / "x.zip", (zip_header("dev/zero", external_attr=(kind | 0o666) << 16), b""))
    refused(source, "neither a plain file nor a folder")


def test_overlapping_zip_members_are_rejected(tmp_path: Path) -> None:
    data = bytes(9 * 10**6)
    source = pack_zip(tmp_path / "x.zip", ("x.png", data), ("y.png", b"y"))
    packed = source.read_bytes()
    place = packed.index(b"PK\1\2")
    entry = packed[place : packed.index(b"PK\1\2", place + 1)]
    directory = b"".join(entry.replace(b"x.png", b"%d.png" % number) for number in range(10))
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 10, 10, len(directory), place, 0)
    source.write_bytes(packed[:place] + directory + end)
    refused(source, "exceeds the 10,000,000 bytes")


def test_a_zip64_with_a_false_size_is_rejected(tmp_path: Path) -> None:
    source = tmp_path / "x.zip"
    with zipfile.ZipFile(source, "w") as packed, packed.open("x.png", "w", force_zip64=True) as member:
        member.write(b"image")
    data = source.read_bytes()
    place = data.index(b"PK\1\2")
    entry = bytearray(data[place : data.index(b"PK\5\6")])
    entry[20:28], entry[30:32] = b"\xff" * 8, struct.pack("<H", 20)
    entry += struct.pack("<HHQQ", 1, 16, 2**63, 5)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(entry), place, 0)
    source.write_bytes(data[:place] + entry + end)
    refused(source, "larger than 200,000,000 bytes")


# what headers make a reader remember


def test_a_zip_with_millions_of_members_is_rejected_before_parsing(tmp_path: Path) -> None:
    source = pack_zip(tmp_path / "x.zip", ("x", b""))
    data = source.read_bytes()
    place = data.index(b"PK\1\2")
    directory = data[place : data.index(b"PK\5\6")] * 500_000
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 9, 9, len(directory), place, 0)
    source.write_bytes(data[:place] + directory + end)
    del directory
    with within(megabytes=100):
        refused(source, "has a directory of more than 20,000,000 bytes")


def test_a_tar_frees_memory_of_earlier_members(tmp_path: Path) -> None:
    member = header("x")[0].tobuf()

    def globals_of(archive: int) -> bytes:
        records = b"".join(f"13 {archive}{number:05}=x\n".encode() for number in range(50_000))
        info, _ = header("x", type=tarfile.XGLTYPE, size=len(records))
        return info.tobuf() + records + bytes(-len(records) % 512)

    for headers in (member * 20_000, b"".join(globals_of(number) + member for number in range(8))):
        (tmp_path / "x.tar").write_bytes(headers + bytes(1024))
        with within(megabytes=30), pytest.raises(MissingError, match="no images"):
            images_in(tmp_path / "x.tar")


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_of_megabytes_is_refused(tmp_path: Path, kind: bytes, suffix: str) -> None:
    records = b"".join(f"12 {number:05}=x\n".encode() for number in range(100_000))
    info, _ = header("x", type=kind)
    source = pack_tar(tmp_path / f"x.{suffix}", (info, records))
    with within(megabytes=30):
        refused(source, "header lies")


def test_a_sparse_file_with_an_endless_map_is_refused(tmp_path: Path) -> None:
    info, _ = header("x.png", type=tarfile.GNUTYPE_SPARSE)
    first = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    first[482] = 1  # the map continues in the next block
    first[148:156] = b"%06o\0 " % (sum(first) - sum(first[148:156]) + 8 * 32)
    more = bytearray(b"00000000001\0" * 42 + b"\1" + bytes(7))
    (tmp_path / "x.tar").write_bytes(first + more * 4000)
    with within(megabytes=30):
        refused(tmp_path / "x.tar", "header lies")


def test_a_chain_of_long_names_is_refused(tmp_path: Path) -> None:
    info, _ = header("x", type=tarfile.GNUTYPE_LONGNAME, size=4)
    (tmp_path / "x.tar").write_bytes((info.tobuf(tarfile.GNU_FORMAT) + b"x.png".ljust(512, b"\0")) * 3000)
    refused(tmp_path / "x.tar", "cannot read|header lies")


# compression


def test_a_bomb_is_refused_wherever_it_is(tmp_path: Path) -> None:
    source = pack_tar(tmp_path / "x.tar.gz", (tarfile.TarInfo("x.png"), bytes(16 * 10**6)))
    with within(megabytes=40):
        refused(source, "exceeds the 10,000,000 bytes")
    source = pack_tar(tmp_path / "x.tar.gz", (tarfile.TarInfo("x.png"), b"x"), tail=bytes(16 * 10**6))
    refused(source, "grows more than 200 times")


@pytest.mark.parametrize(("compress", "name"), [(bz2.compress, "bzip2"), (lzma.compress, "xz")])
def test_a_compression_that_srkd_does_not_read_is_named(
    tmp_path: Path, compress: Callable[[bytes], bytes], name: str
) -> None:
    source = pack_tar(tmp_path / "x.tar", (tarfile.TarInfo("x.png"), b"image"))
    source.write_bytes(compress(source.read_bytes()))
    error = refused(source, f"it is compressed by {name}$")
    assert error.hint.startswith("srkd reads folders, zip, tar and tar.gz; ")


def test_the_limits_allow_the_largest_known_data_sets() -> None:
    assert archives.MAX_MEMBERS > 2 * 85_000  # LSDIR, HR and LR
