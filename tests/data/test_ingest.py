"""Import and download: the copies of a data set, folders that hold several, tiny images."""

import os
from pathlib import Path

import pytest
from PIL import Image

from srkd_bench.core.errors import IntegrityError, MissingError, SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.data import ingest
from srkd_bench.data.catalog import DATASETS, DatasetSpec, Source, copy_name, identify
from srkd_bench.data.image_set import image_notes, open_set, packed, pixels_of
from srkd_bench.data.ingest import adopt, download
from srkd_bench.data.packs import index_of
from srkd_bench.store.artifact_store import ArtifactStore
from tests.data.test_folders import make

DATA = Path(os.environ.get("SRKD_TEST_DATA", ""))
needs_data = pytest.mark.skipif("SRKD_TEST_DATA" not in os.environ, reason="SRKD_TEST_DATA is not set")


@pytest.fixture
def duo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: ArtifactStore, display: Display) -> Path:
    """Give a folder with two copies of a set of two images: `duo` in `a/duo`, `duo@other` in `b/duo`."""
    for folder, name, sides in (("a", "duo", (32, 40)), ("b", "duo@other", (33, 41))):
        pixels = adopt(store, "scratch", make(tmp_path / "mine" / folder / "duo", *sides), display).pixels
        monkeypatch.setitem(DATASETS, name, DatasetSpec("test", 2, pixels, pattern=r"(^|/)duo/"))
    return tmp_path / "mine"


def test_a_copy_is_recognised_by_its_pixels_under_any_name(
    store: ArtifactStore, display: Display, duo: Path
) -> None:
    assert adopt(store, "duo", duo / "b", display).name == "duo@other"
    assert pixels_of(store, "duo") is None
    with pytest.raises(MissingError, match="'duo' is not available; another copy is: duo@other"):
        open_set(store, "duo", 2)
    assert adopt(store, "duo@other", duo / "a", display).name == "duo"
    assert open_set(store, "duo", 2).name == "duo"
    assert open_set(store, "duo@other", 2).name == "duo@other"


def test_a_folder_that_holds_two_copies_is_one_error_that_names_both(
    store: ArtifactStore, display: Display, duo: Path
) -> None:
    with pytest.raises(IntegrityError) as error:
        adopt(store, "duo", duo, display)
    assert error.value.message == f"'{duo}' holds 2 copies of data set 'duo': 'mine/a/duo' and 'mine/b/duo'"
    assert error.value.hint.endswith(f"srkd download duo --from {duo}/a/duo")
    (duo / "b" / "duo" / "1.png").unlink()
    with pytest.raises(IntegrityError, match="has 2 images, not 3: 2 in 'mine/a/duo', 1 in 'mine/b/duo'"):
        adopt(store, "duo", duo, display)


def test_an_unknown_copy_is_marked_in_all_tables(
    store: ArtifactStore, display: Display, duo: Path, tmp_path: Path
) -> None:
    found = adopt(store, "duo", make(tmp_path / "third", 50, 60), display)
    assert found.name == "duo"
    shown = f"duo@{found.pixels[:6]}"
    assert open_set(store, "duo", 2).name == copy_name("duo", found.pixels) == shown
    assert image_notes(store, ["duo"]) == [
        f"{shown}: a copy of duo that srkd does not know; there are no published scores for it"
    ]
    with pytest.raises(IntegrityError, match="these images are not those of 'duo@other'"):
        adopt(store, "duo@other", tmp_path / "third", display)


def test_a_source_with_another_copy_does_not_satisfy_a_request(
    store: ArtifactStore, display: Display, duo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = DatasetSpec("test", 2, DATASETS["duo"].pixels, sources=(Source(("http://x/duo.tar",), None),))
    monkeypatch.setitem(DATASETS, "duo", spec)
    monkeypatch.setattr(ingest, "_fetch", lambda store, name, source, display: duo / "b")
    with pytest.raises(MissingError, match="holds another copy, which is packed as 'duo@other'"):
        download(store, "duo", display)
    assert packed(store, "duo@other")


def test_a_set_without_a_source_must_be_imported(store: ArtifactStore, display: Display) -> None:
    with pytest.raises(MissingError, match="cannot be downloaded, only imported") as error:
        download(store, "manga109", display)
    assert "--from" in error.value.hint


def test_an_image_too_small_to_be_measured_is_refused_at_import_by_name(
    store: ArtifactStore, display: Display, tmp_path: Path
) -> None:
    folder = make(tmp_path / "mine", 20, 32, 32, 32, 32)
    Image.new("RGB", (12, 12)).save(folder / "tiny.png")
    (folder / "4.png").unlink()
    with pytest.raises(SrkdError, match="image 'tiny' of 'set5' is 12×12 pixels, too small"):
        adopt(store, "set5", folder, display)
    assert packed(store, "set5") is None
    (folder / "tiny.png").unlink()
    make(tmp_path / "mine", 18, 32, 32, 32, 32)
    assert len(open_set(store, adopt(store, "set5", folder, display).name, 3)) == 5
    with pytest.raises(
        SrkdError, match="image '0' of 'set5' is 30×18 pixels, too small to be measured at ×4"
    ):
        open_set(store, "set5", 4)


@needs_data
def test_both_copies_of_the_fields_test_sets_are_known(store: ArtifactStore, display: Display) -> None:
    assert adopt(store, "set14", DATA / "edsr_archive", display).name == "set14@edsr"
    assert adopt(store, "set14", DATA / "set14", display).name == "set14"
    assert adopt(store, "bsd100", DATA / "edsr_archive", display).name == "bsd100@edsr"


@needs_data
def test_urban100_of_the_archive_is_known_by_its_first_images(store: ArtifactStore, display: Display) -> None:
    adopt(store, "first8", DATA / "edsr_archive" / "Urban100_first8", display)
    eight = [image["sha256"] for image in (index_of(store, "first8") or {})["images"]]
    rest = [f"{number:064}" for number in range(92)]
    assert identify("", [*eight, *rest]) == "urban100@edsr"
    assert identify("", [*eight[1:], "0", *rest]) is None
    assert identify("", eight) is None
