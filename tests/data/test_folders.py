"""A user's own images: folders as data sets, registered names, the image search."""

from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.data import ingest
from srkd_bench.data.catalog import DATASETS, DatasetSpec
from srkd_bench.data.folders import proposed_name, resolve
from srkd_bench.data.image_set import open_set, overlap, own_names
from srkd_bench.data.images import find_images
from srkd_bench.data.ingest import adopt
from srkd_bench.data.packs import Packed
from srkd_bench.store.artifact_store import ArtifactStore
from tests.data.test_images import random_image


def make(folder: Path, *sides: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, side in enumerate(sides):
        Image.fromarray(random_image(side, 30 + number)).save(folder / f"{number}.png")
    return folder


def test_a_folder_is_packed_once_under_its_own_name_and_again_when_an_image_changes(
    store: ArtifactStore, display: Display, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path / "My Tests", 32, 40)
    name = resolve(store, str(folder), display)
    assert name == "my-tests"
    assert len(open_set(store, name, 2)) == 2
    read: list[str] = []

    def counted(store: ArtifactStore, name: str, source: Path, display: Display, **more: Any) -> Packed:
        read.append("again")
        return adopt(store, name, source, display, **more)

    monkeypatch.setattr(ingest, "adopt", counted)
    assert resolve(store, str(folder), display) == name
    assert read == []
    Image.fromarray(random_image(50, 50)).save(folder / "0.png")
    changed = resolve(store, str(folder), display)
    assert read == ["again"]
    assert changed.startswith("my-tests@")  # other pixels: scores of both never share a name
    assert own_names(store) == ["my-tests", changed]


def test_a_folder_with_the_pixels_of_a_known_set_is_that_set(
    store: ArtifactStore, display: Display, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path / "mine", 32, 40)
    pixels = adopt(store, "first", folder, display).pixels
    monkeypatch.setitem(DATASETS, "duo", DatasetSpec("test", 2, pixels))
    renamed = make(tmp_path / "other", 32, 40)
    (renamed / "0.png").rename(renamed / "zero.png")
    assert resolve(store, str(renamed), display) == "duo"


def test_a_folder_named_like_a_known_set_is_a_different_set(
    store: ArtifactStore, display: Display, tmp_path: Path
) -> None:
    assert resolve(store, str(make(tmp_path / "set5", 32)), display).startswith("set5@")


def test_read_only_commands_pack_nothing_and_give_a_hint(
    store: ArtifactStore, display: Display, tmp_path: Path
) -> None:
    folder = make(tmp_path / "mine" / "HR", 32)
    with pytest.raises(MissingError, match="not packed yet") as error:
        resolve(store, str(folder), display, readonly=True)
    assert error.value.hint == f"srkd download mine --from {folder}"
    assert own_names(store) == []
    with pytest.raises(MissingError, match="no folder"):
        resolve(store, "./gone", display)


def test_a_test_image_that_is_also_a_training_image_is_found_by_its_pixels(
    store: ArtifactStore, display: Display, tmp_path: Path
) -> None:
    adopt(store, "train-set", make(tmp_path / "a", 32, 40, 50), display)
    shared = make(tmp_path / "b", 60, 40)
    (shared / "1.png").rename(shared / "copied.png")
    adopt(store, "tests", shared, display)
    assert overlap(store, "train-set", "tests") == ["copied"]
    assert overlap(store, "tests", "set5") == []


@pytest.mark.parametrize("name", ["data/../../x", "..", "a_x2", "Upper", "", "a b"])
def test_a_name_invalid_for_a_store_folder_is_rejected(
    store: ArtifactStore, display: Display, tmp_path: Path, name: str
) -> None:
    with pytest.raises(SrkdError, match="is not a valid data set name"):
        adopt(store, name, make(tmp_path / "mine", 32), display)


def test_a_registered_name_keeps_its_images_without_force(
    store: ArtifactStore, display: Display, tmp_path: Path
) -> None:
    first = adopt(store, "mine", make(tmp_path / "a", 32), display, replace=False)
    assert adopt(store, "mine", make(tmp_path / "a", 32), display, replace=False) == first
    with pytest.raises(SrkdError, match="exists with other images"):
        adopt(store, "mine", make(tmp_path / "b", 40), display, replace=False)
    assert open_set(store, "mine", 2).pixels == first.pixels
    assert adopt(store, "mine", make(tmp_path / "b", 40), display) != first


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
ENTRIES = st.lists(
    st.tuples(
        NAMES,
        st.sampled_from(["", ".png", ".PNG", ".tiff", ".jpg"]),
        st.sampled_from(["file", "dir", "link"]),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ENTRIES)
def test_no_folder_causes_a_traceback_in_image_search_or_import(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    for stem, suffix, kind in entries:
        path = folder / f"{stem}{suffix}"
        if path.name in (".", "..") or len(path.name.encode()) > 200 or path.exists() or path.is_symlink():
            continue
        if kind == "file":
            Image.fromarray(random_image(20, 20)).save(path, "PNG")
        elif kind == "dir":
            path.mkdir()
        else:
            path.symlink_to(folder / "gone")
    assert all(path.is_file() and not path.name.startswith(".") for path in find_images(folder, nested=True))
    assert proposed_name(folder)
    store = ArtifactStore(folder.parent / f"{folder.name}-store")
    with suppress(SrkdError):
        resolve(store, str(folder), Display(Console(file=StringIO())))
