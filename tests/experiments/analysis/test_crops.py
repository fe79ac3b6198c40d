"""Regions of images as rendered by networks, here with their initial weights."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.text import Text

from srkd_bench.config.artifacts import Run
from srkd_bench.config.suite import Suite
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.data.image_set import open_set
from srkd_bench.evaluation.regions import Crop, Panel
from srkd_bench.evaluation.scoring import network
from srkd_bench.experiments.analysis.crops import Gallery, busiest, choose, panels, parse
from srkd_bench.experiments.planning.planner import Plan, plan
from srkd_bench.networks.stored import load
from srkd_bench.report.figures.crop_sheet import sheet
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import Workplace
from tests.support.finished_runs import finish
from tests.support.tiny_suite import tiny_suite


@pytest.fixture
def tiny(tmp_path: Path) -> Suite:
    from srkd_bench.config.suite_file import load_suite

    data, methods = {"train": "photos"}, ["none", "hkd", "rkd"]
    return load_suite(str(tiny_suite(tmp_path, data=data, methods=methods, seeds=[3, 0])))


@pytest.fixture
def place(store: ArtifactStore, display: Display) -> Workplace:
    return Workplace(store, display)


@pytest.fixture
def tiny_plan(tiny: Suite, place: Workplace) -> Plan:
    return plan(tiny, place.store, place.display)


@pytest.fixture
def gallery(tiny_plan: Plan, place: Workplace) -> Gallery:
    assert isinstance(tiny_plan.teacher, Run)
    for run in (tiny_plan.teacher, *tiny_plan.students):
        finish(run, place.store)
    return Gallery(tiny_plan, place)


def test_the_same_regions_are_chosen_each_time(gallery: Gallery, tiny_plan: Plan, place: Workplace) -> None:
    chosen = choose(gallery, "photos-test", 4)
    assert chosen == choose(Gallery(tiny_plan, place), "photos-test", 4)
    assert len(set(chosen)) == 4
    assert [crop.image for crop in chosen[:3]] != [chosen[0].image] * 3
    assert chosen[3].image == chosen[0].image


def test_the_first_seed_of_the_suite_is_shown(gallery: Gallery, tiny_plan: Plan, place: Workplace) -> None:
    assert gallery.seed == 3
    run = next(run for run in tiny_plan.students if (run.method, run.seed) == ("hkd", 3))
    assert (gallery.sr("hkd", "photos-test", "camera") == whole(run, place, "camera")).all()


def test_images_are_chosen_by_how_their_scores_differ_between_methods(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {
        "teacher": {"camera": 90.0, "chelsea": 0.0, "coffee": 0.0},
        "none": {"camera": 30.0, "chelsea": 30.0, "coffee": 30.0},
        "hkd": {"camera": 30.0, "chelsea": 31.0, "coffee": 33.0},
        "rkd": {"camera": 30.0, "chelsea": 31.0, "coffee": math.inf},
    }
    monkeypatch.setattr(gallery, "scores", lambda model, dataset: scores[model])
    assert [crop.image for crop in choose(gallery, "photos-test", 3)] == ["coffee", "chelsea", "camera"]


def test_the_region_with_the_largest_differences_is_chosen_on_lr_pixels() -> None:
    spread = np.zeros((200, 300))
    spread[90:110, 150:160] = 1
    x, y, width, height = busiest(spread, 3) or (0, 0, 0, 0)
    assert (width, height) == (63, 63)
    assert x % 3 == y % 3 == 0
    assert y <= 90 <= 110 <= y + height
    assert x <= 150 <= 160 <= x + width


def test_regions_of_an_image_never_overlap() -> None:
    spread = np.ones((128, 128))
    taken: list[Crop] = []
    while found := busiest(spread, 2, taken):
        taken.append(Crop("d", "i", *found))
    covered = np.zeros((128, 128), int)
    for crop in taken:
        covered[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width] += 1
    assert len(taken) == 4
    assert covered.max() == 1


def whole(run: Run, place: Workplace, image: str) -> np.ndarray:
    images = open_set(place.store, "photos-test", 2)
    upscale = network(load(run, place.store), device=torch.device("cpu"))
    return upscale(image, images.lr(images.names.index(image)))


def test_a_view_is_the_region_of_the_whole_sr_that_was_scored(
    gallery: Gallery, tiny_plan: Plan, place: Workplace
) -> None:
    (panel,) = panels(gallery, [Crop("photos-test", "coffee", 40, 60, 32, 24)])
    views = {view.model: view.pixels for view in panel.views}
    assert list(views) == ["hr", "lr", "bicubic", "teacher", "none", "hkd", "rkd"]
    for run in tiny_plan.students:
        if run.seed == 3:
            assert (views[run.method] == whole(run, place, "coffee")[60:84, 40:72]).all()
    images = open_set(place.store, "photos-test", 2)
    i = images.names.index("coffee")
    assert (views["hr"] == images.hr(i)[60:84, 40:72]).all()
    assert (views["lr"] == images.lr(i)[30:42, 20:36]).all()
    assert panel.size == images.hr(i).shape[1::-1]


def test_psnr_is_that_of_the_regions_luma(gallery: Gallery) -> None:
    (panel,) = panels(gallery, [Crop("photos-test", "chelsea", 0, 0, 20, 20)])
    weights = np.array([65.481, 128.553, 24.966]) / 255
    hr = panel.views[0].pixels @ weights
    for view in panel.views[2:]:
        error = np.mean((view.pixels @ weights - hr) ** 2)
        assert view.psnr == pytest.approx(10 * math.log10(255**2 / error))
    assert [view.psnr for view in panel.views[:2]] == [None, None]


def test_unfinished_models_are_omitted_with_a_note(tiny_plan: Plan, place: Workplace) -> None:
    run = next(run for run in tiny_plan.students if run.method == "hkd" and run.seed == 3)
    finish(run, place.store)
    gallery = Gallery(tiny_plan, place)
    assert gallery.models == ["bicubic", "hkd"]
    assert gallery.left_out == ["teacher: not finished", "none: not finished", "rkd: not finished"]
    assert len(choose(gallery, "photos-test", 2)) == 2


def test_a_region_is_parsed_with_and_without_its_data_set(gallery: Gallery) -> None:
    expected = Crop("photos-test", "camera", 10, 20, 30, 40)
    assert parse("camera:10,20,30,40", gallery) == expected
    assert parse("photos-test/camera:10,20,30,40", gallery) == expected


def test_a_region_may_be_of_a_set_that_the_suite_does_not_measure(gallery: Gallery) -> None:
    (panel,) = panels(gallery, [parse("photos-valid/ihc:0,0,32,16", gallery)])
    assert panel.crop.dataset == "photos-valid"
    assert {view.pixels.shape for view in panel.views[2:]} == {(16, 32, 3)}


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("photos-test/:0,0,8,8", "no image named 'photos-test/'", "known: camera, "),
        ("set5/baby:0,0,8,8", "data set 'set5' is not available", "srkd download set5"),
        ("camera", "'camera' is not a valid region", "IMAGE:X,Y,W,H in HR pixels, such as baby:96,64,64,64"),
        ("camera:1,2,3", "is not a valid region", "IMAGE:X,Y,W,H"),
        ("camera:-2,0,8,8", "is not a valid region", "IMAGE:X,Y,W,H"),
        ("camra:0,0,8,8", "no image named 'camra'", "did you mean 'camera'?"),
        ("photos-test/cofee:0,0,8,8", "no image of photos-test named 'cofee'", "did you mean 'coffee'?"),
        ("camera:510,0,4,4", "not within 'camera', which is 512×512 pixels", ""),
        ("camera:0,0,0,8", "not within", ""),
        ("camera:11,20,31,1", "does not lie on LR pixels", "--crop camera:10,20,30,2"),
    ],
)
def test_a_region_that_cannot_be_shown_is_one_clear_error(
    text: str, message: str, hint: str, gallery: Gallery
) -> None:
    with pytest.raises(SrkdError) as error:
        parse(text, gallery)
    assert message in error.value.message
    assert error.value.hint.startswith(hint)


def test_an_image_name_in_two_sets_needs_the_set(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gallery, "datasets", ["photos-test", "set5"])
    images = gallery.images("photos-test")
    monkeypatch.setattr(gallery, "images", lambda dataset: images)
    with pytest.raises(SrkdError, match="'camera' is an image of photos-test and of set5"):
        parse("camera:0,0,8,8", gallery)


@pytest.fixture
def shown(gallery: Gallery) -> list[Panel]:
    return panels(gallery, [Crop("photos-test", "coffee", 40, 60, 64, 64)])


def texts(shown: list[Panel]) -> list[Text]:
    return [text for text in sheet(shown).findobj(Text) if isinstance(text, Text) and text.get_text()]


def test_a_sheet_names_every_model_and_writes_only_the_best_methods_in_bold(shown: list[Panel]) -> None:
    written = texts(shown)
    words = [text.get_text() for text in written]
    for name in ("HR", "LR", "Bicubic", "Teacher", "w/o KD", "HKD", "RKD"):
        assert name in words
    assert "photos-test: coffee" in words
    assert "64×64 pixels at 40, 60; seed 3" in words
    best = max(view.psnr or 0 for view in shown[0].views if view.model in ("none", "hkd", "rkd"))
    bold = [text.get_text() for text in written if text.get_fontweight() == "bold"]
    assert bold[0] == "photos-test: coffee"
    assert bold[2:] == [f"{best:.2f} dB"]


def test_a_long_name_is_scaled_to_fit(shown: list[Panel]) -> None:
    one = shown[0].views[-1]
    models = ["none@equal-cost", *(f"m{i}" for i in range(6))]
    views = [*shown[0].views, *(replace(one, model=model) for model in models)]
    panel = replace(shown[0], views=views)
    long = [text for text in texts([panel]) if text.get_text() == "w/o KD at equal cost"]
    widths = [text.get_window_extent().width for text in long]
    images = [axes.get_window_extent().width for axes in sheet([panel]).axes[1:]]
    assert len(widths) == 2  # under the region and under its error map
    assert max(widths) <= 1.25 * max(images)  # glyphs stand on whole pixels


def test_all_error_maps_of_a_region_share_one_scale(shown: list[Panel]) -> None:
    images = [image for axes in sheet(shown).axes for image in axes.get_images()]
    maps = [image for image in images if image.get_cmap().name == "magma"]
    assert len(maps) == 5
    assert len({image.get_clim() for image in maps}) == 1
    assert maps[0].get_clim()[0] == 0
