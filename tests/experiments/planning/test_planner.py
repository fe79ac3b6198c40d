"""Planning: folders in place of data sets, missing copies of test sets."""

from pathlib import Path

import pytest

from srkd_bench.config.suite import Suite
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.data.catalog import DATASETS, DatasetSpec
from srkd_bench.data.ingest import adopt
from srkd_bench.experiments.planning import planner
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.planning.requirements import needed
from srkd_bench.store.artifact_store import ArtifactStore
from tests.data.test_folders import make
from tests.support.tiny_suite import tiny_suite


def suite_of(folder: Path, **data: object) -> Suite:
    return load_suite(str(tiny_suite(folder, data=data)))


def test_a_suites_folders_are_packed_under_their_display_names(
    store: ArtifactStore, display: Display, tmp_path: Path
) -> None:
    folders = {
        name: str(make(tmp_path / name, 32 + i, 40 + i)) for i, name in enumerate(("mine", "valid", "tests"))
    }
    suite = suite_of(
        tmp_path, train=folders["mine"], validation=folders["valid"], test=[folders["tests"], "photos-test"]
    )
    with pytest.raises(MissingError, match="not packed yet"):
        planner.plan(suite, store, display, readonly=True)
    plan = planner.plan(suite, store, display)
    data = plan.suite.data
    assert (data.train, data.validation, data.test) == ("mine", "valid", ["tests", "photos-test"])
    assert plan.students[0].data == "mine"
    assert planner.plan(suite, store, display, readonly=True) == plan
    places = {key.place for key in needed(store, suite, display)}
    assert {"data/mine", "data/valid", "data/tests_x2"} <= places
    elsewhere = ArtifactStore(tmp_path / "elsewhere")  # where only scores were taken
    assert planner.plan(suite, elsewhere, display, readonly=True, scored=True).suite.data == data


def test_a_missing_copy_is_excluded_only_if_another_is_available(
    store: ArtifactStore, display: Display, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = suite_of(tmp_path, train="photos-test", test=["duo", "duo@other", "set5"])
    for name, sides in (("duo", (32, 40)), ("duo@other", (33, 41))):
        pixels = adopt(store, "scratch", make(tmp_path / name, *sides), display).pixels
        monkeypatch.setitem(DATASETS, name, DatasetSpec("test", 2, pixels))
    assert planner.plan(suite, store, display).suite.data.test == ["duo", "duo@other", "set5"]
    adopt(store, "duo", tmp_path / "duo@other", display)
    assert planner.plan(suite, store, display).suite.data.test == ["duo@other", "set5"]
    adopt(store, "duo", tmp_path / "duo", display)
    assert planner.plan(suite, store, display).suite.data.test == ["duo", "duo@other", "set5"]


def test_a_number_of_images_limits_the_students_and_not_the_teacher(
    store: ArtifactStore, display: Display, tmp_path: Path
) -> None:
    def plan(train: str = "photos", **data: object) -> Plan:
        return planner.plan(suite_of(tmp_path, train=train, **data), store, display)

    whole, part = plan(), plan(images=3)
    assert part.teachers == whole.teachers
    assert [run.images for run in part.students] == [3, 3]
    assert [dict(run) | {"images": None} for run in part.students] == [dict(run) for run in whole.students]
    assert not {run.digest for run in part.students} & {run.digest for run in whole.students}
    assert part.suite.identity != whole.suite.identity
    everything = plan(images=8)  # as many as there are is no limit
    assert (everything, everything.suite.identity) == (whole, whole.suite.identity)
    folder = str(make(tmp_path / "mine", 32, 40))
    assert plan(train=folder, images=2) == plan(train=folder)
    for name, images, count in (("photos", 9, 8), (folder, 3, 2)):
        with pytest.raises(SrkdError, match=rf"data.images is {images}, but .* has {count} images"):
            plan(train=name, images=images)
    with pytest.raises(SrkdError, match=r"data.images: must be at least 1, not 0"):
        plan(images=0)
    elsewhere = ArtifactStore(tmp_path / "elsewhere")  # the number of a set's images may be unknown there
    own = suite_of(tmp_path, train=folder, images=2)
    assert planner.plan(own, elsewhere, display, readonly=True, scored=True).suite.data.images == 2


@pytest.mark.parametrize(
    ("method", "setting", "least"), [("hkd", "params.hkd.margin=8", 17), ("augkd", "data.scale=4", 4)]
)
def test_a_patch_that_is_too_small_for_a_method_is_refused(
    method: str, setting: str, least: int, store: ArtifactStore, display: Display
) -> None:
    suite = load_suite("smoke", [setting, f"train.patch={least - 1}"])
    refused = f"^{method} needs patches of {least} LR pixels or more, not {least - 1}$"
    with pytest.raises(SrkdError, match=refused) as caught:
        planner.plan(suite, store, display, [method])
    assert caught.value.hint == f"--set train.patch={2 * least}"
    fitting = load_suite("smoke", [setting, f"train.patch={least}"])
    assert planner.plan(fitting, store, display, [method]).students
