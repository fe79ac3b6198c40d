"""Figures of made-up results."""

import math
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from statistics import stdev
from xml.etree import ElementTree

import matplotlib
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from srkd_bench.cli.commands.figures import write_figures
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score
from srkd_bench.evaluation.statistics import Difference, differences
from srkd_bench.report.figures.curves import curves
from srkd_bench.report.figures.palette import KNOWN, OTHERS, palette
from srkd_bench.report.figures.registry import CAPTIONS, FIGURES, figures, save
from srkd_bench.report.figures.series import Means, means, noise
from srkd_bench.report.figures.style import apart, within
from srkd_bench.report.figures.svg import to_svg
from srkd_bench.report.tables.differences import signed
from srkd_bench.report.tables.per_image import per_image
from srkd_bench.report.tables.table import model_labels
from tests.support.made_up_results import METHODS, study

SMALL = {"set5": (33.7, 5), "bsd100": (29.6, 30)}
HOSTILE = "$\\frac{$\n<script>--> ]]> alert(1)</script> é"


@lru_cache
def small() -> Results:
    return study(datasets=SMALL, seeds=6)


@lru_cache
def drawn() -> dict[str, Figure]:
    return figures(small())


def words(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)}


def test_every_figure_of_every_metric_is_drawn_and_has_a_caption() -> None:
    names = {f"{name}-{metric}" for name in FIGURES for metric in ("psnr_y", "ssim_y")}
    assert set(drawn()) == {*names, "curves"}
    assert set(CAPTIONS) == {*FIGURES, "curves"}


@pytest.mark.parametrize("name", [*(f"{name}-psnr_y" for name in FIGURES), "curves"])
def test_every_method_is_named_in_every_figure(name: str) -> None:
    labels = {label for model, label in model_labels(small()).items() if model in METHODS}
    if name.startswith(("forest", "images")):
        labels.remove("w/o KD")  # named by the axis
        assert any("minus that of w/o KD (dB)" in word for word in words(drawn()[name]))
    assert labels <= {word.partition(":")[0] for word in words(drawn()[name])}


@pytest.mark.parametrize("name", ["forest", "seeds", "images", "cost"])
def test_every_data_set_is_named_and_a_method_that_is_missing_hurts_nobody(name: str) -> None:
    results = study(datasets=SMALL, seeds=2, without=("rvkd",))
    figure = FIGURES[name](results, "psnr_y")
    assert figure is not None
    shown = {word.partition(" (")[0] for word in words(figure)}
    assert {"Set5", "BSD100", "HKD"} <= shown


def test_where_there_is_nothing_to_draw_there_is_no_figure() -> None:
    one_seed = study(datasets=SMALL, seeds=1)
    assert FIGURES["seeds"](one_seed, "psnr_y") is None
    assert {"forest-psnr_y", "images-psnr_y", "cost-psnr_y"} <= set(figures(one_seed))
    alone = study(["none"], datasets=SMALL, seeds=2)
    assert FIGURES["forest"](alone, "psnr_y") is None
    assert FIGURES["images"](alone, "psnr_y") is None
    assert curves(replace(small(), trainings=[])) is None
    assert figures(Results("empty", ["none"], ["set5"], ["psnr_y"])) == {}


def test_without_validation_its_panel_is_left_out() -> None:
    for validation in (True, False):
        figure = curves(study(datasets=SMALL, seeds=2, validation=validation))
        assert figure is not None
        titles = [axes.get_title("left") for axes in figure.axes]
        assert titles[:2] == ["Loss against HR", "Distillation terms, weighted"]
        assert titles[3:] == ["Validation PSNR-Y (dB)"] * validation


def test_the_terms_of_a_composition_are_distinct() -> None:
    assert {"RKD+HKD: rkd", "RKD+HKD: hkd"} <= words(drawn()["curves"])


def test_the_noise_is_the_baselines_deviation_over_seeds() -> None:
    measured: Means = {
        ("a", "none"): {0: 30.0, 1: 30.4, 2: 31.0},
        ("b", "none"): {0: 20.0, 1: 20.0, 3: 9.0},
        ("a", "hkd"): {0: 1.0, 1: 2.0},
    }
    assert noise(measured, "a", "none") == pytest.approx(stdev([30.0, 30.4, 31.0]))
    assert noise(measured, None, "none") == pytest.approx(stdev([25.0, 25.2]))
    assert noise(measured, "a", "ckd") is None


def test_means_that_are_infinite_are_left_out() -> None:
    scores = [replace(score, value=math.inf) for score in small().scores if score.model == "hkd"]
    assert means(replace(small(), scores=scores), "psnr_y") == {("set5", "hkd"): {}, ("bsd100", "hkd"): {}}


def test_the_forest_shows_intervals_as_the_statistics_give_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def differences(results: Results, metric: str) -> list[Difference]:
        facts = {"baseline": "none", "metric": metric, "dataset": "set5", "images": 5, "p_holm": 0.03}
        return [
            Difference(model="hkd", mean=0.02, low=0.01, high=0.035, seeds=6, p=0.03, **facts),  # type: ignore[arg-type]  # facts are mixed
            Difference(model="ckd", mean=-0.0002, low=-0.01, high=0.01, seeds=6, p=0.9, **facts),  # type: ignore[arg-type]  # facts are mixed
            Difference(model="rkd", mean=-0.5, low=math.nan, high=math.nan, seeds=1, p=None, **facts),  # type: ignore[arg-type]  # facts are mixed
        ]

    monkeypatch.setattr("srkd_bench.evaluation.statistics.differences", differences)
    figure = FIGURES["forest"](small(), "psnr_y")
    assert figure is not None
    found = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    numbers = {
        text.get_text(): text.get_fontweight() for text in found if re.match(r"[-+−\d]", text.get_text())
    }
    assert numbers["+0.020 [+0.010, +0.035]"] == "bold"
    assert numbers["0.000 [−0.010, +0.010]"] == "normal"
    assert numbers["−0.500"] == "normal"


def test_the_images_figure_pairs_as_the_statistics_and_the_per_image_table_do() -> None:
    values = {
        ("none", 0): (30.0, 20.0), ("none", 1): (30.0, 20.0),
        ("hkd", 0): (30.5, 21.0), ("hkd", 1): (30.1, math.inf),
    }  # fmt: skip
    scores = [
        Score(model, "set5", image, "psnr_y", "y@1", value, method=model, seed=seed)
        for (model, seed), images in values.items()
        for image, value in zip("ab", images, strict=True)
    ]
    made = Results("demo", ["none", "hkd"], ["set5"], ["psnr_y"], scores)
    figure = FIGURES["images"](made, "psnr_y")
    assert figure is not None
    drawn = list(figure.axes[0].get_lines()[0].get_ydata())  # type: ignore[arg-type]  # a sequence of numbers
    assert drawn == pytest.approx([0.3])  # image b is not finite in every run: it counts nowhere
    assert differences(made, "psnr_y")[0].mean == pytest.approx(0.3)
    assert [row.gains for row in per_image(made, "psnr_y").rows] == [["+0.300"], ["–"]]


def test_colours_and_markers_are_a_methods_own_everywhere() -> None:
    looks = palette(["teacher", "mine", "hkd", "yours"])
    assert looks["hkd"] == palette(["hkd"])["hkd"]
    assert looks["mine"] != looks["yours"]
    every = [*KNOWN.values(), *OTHERS]
    assert len({look.colour for look in every}) == len({look.marker for look in every}) == len(every)
    for name in ("forest-psnr_y", "seeds-psnr_y", "images-psnr_y", "cost-psnr_y", "curves"):
        svg = to_svg(drawn()[name], name)
        assert KNOWN["rkd+hkd"].colour in svg
        assert KNOWN["hkd"].colour in svg


def elements(svg: str) -> Iterator[ElementTree.Element]:
    return ElementTree.fromstring(svg).iter()


@pytest.mark.parametrize("name", [*(f"{name}-psnr_y" for name in FIGURES), "curves"])
def test_an_svg_is_small_has_no_script_and_is_in_the_pages_ink(name: str) -> None:
    svg = to_svg(figures(study())[name], name)
    assert svg.startswith("<svg ")
    assert len(svg) < 150_000
    tags = {element.tag.rpartition("}")[2] for element in elements(svg)}
    assert tags <= {"svg", "g", "path", "use", "defs", "clipPath", "rect"}
    assert not [key for element in elements(svg) for key in element.attrib if key.startswith("on")]
    assert "#000000" not in svg
    assert "currentColor" in svg
    assert "#ffffff" not in svg


@pytest.mark.parametrize("name", ["forest-psnr_y", "curves"])
def test_ids_are_a_figures_own_and_every_reference_finds_its_own(name: str) -> None:
    svg = to_svg(drawn()[name], "one")
    ids = {element.get("id") for element in elements(svg)} - {None}
    assert all(str(one).startswith("one-") for one in ids)
    used = set(re.findall(r'href="#(.+?)"', svg)) | set(re.findall(r"url\(#(.+?)\)", svg))
    assert used == ids


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        figure = FIGURES["forest"](study(datasets=SMALL, seeds=2), "psnr_y")
        assert figure is not None
        (tmp_path / folder).mkdir()
        for suffix in (".pdf", ".png", ".svg"):
            save(figure, tmp_path / folder / f"x{suffix}")
    for suffix in (".pdf", ".png", ".svg"):
        assert (tmp_path / "a" / f"x{suffix}").read_bytes() == (tmp_path / "b" / f"x{suffix}").read_bytes()


def test_fonts_are_in_the_pdf_as_outlines(tmp_path: Path) -> None:
    save(drawn()["seeds-psnr_y"], tmp_path / "x.pdf")
    content = (tmp_path / "x.pdf").read_bytes()
    assert b"/FontFile2" in content
    assert b"/Type3" not in content


@pytest.mark.parametrize("name", [*(f"{name}-psnr_y" for name in FIGURES), "curves"])
def test_names_are_shown_and_never_obeyed(name: str) -> None:
    def named(text: str) -> str:
        return HOSTILE if text in ("hkd", "set5") else text

    clean = study(datasets=SMALL, seeds=2)
    results = replace(
        clean,
        columns=[named(model) for model in clean.columns],
        datasets=[named(dataset) for dataset in clean.datasets],
        scores=[
            replace(
                score, model=named(score.model), dataset=named(score.dataset), image=HOSTILE + score.image
            )
            for score in clean.scores
        ],
        trainings=[replace(training, model=named(training.model)) for training in clean.trainings],
    )
    for training in results.trainings:
        for event in training.events:
            event["terms"] |= {HOSTILE: 1.0, HOSTILE + "2": 1.0}
    figure = figures(results)[name]
    svg = to_svg(figure, name)  # matplotlib would refuse the dollars' content if it read it as mathematics
    assert {element.tag.rpartition("}")[2] for element in elements(svg)} <= {
        "svg", "g", "path", "use", "defs", "clipPath", "rect"
    }  # fmt: skip
    assert "script" not in svg
    shown = [word for word in words(figure) if "SCRIPT" in word.upper()]
    assert shown
    assert all("\n" not in word and "$\\" in word for word in shown)


def test_a_name_too_long_for_a_figure_is_cut() -> None:
    results = study(["none", "hkd", "m" * 200], datasets=SMALL, seeds=2)
    assert "M" * 23 + "…" in words(figures(results)["forest-psnr_y"])


def test_drawing_leaves_the_users_settings_and_pyplot_alone() -> None:
    before = dict(matplotlib.rcParams)
    figures(study(datasets=SMALL, seeds=2))
    assert dict(matplotlib.rcParams) == before
    code = (
        "import sys, srkd_bench.cli.app; assert 'matplotlib' not in sys.modules\n"
        "from srkd_bench.report.figures.registry import figures\n"
        "from tests.support.made_up_results import study; figures(study(seeds=2, datasets={'set5': (33, 2)}))\n"
        "sys.exit(bool({'matplotlib.pyplot', 'torch'} & set(sys.modules)))"
    )
    root = Path(__file__).parent.parent.parent.parent
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_all_files_of_a_report_are_written(tmp_path: Path) -> None:
    results = replace(study(["none", "hkd"], datasets={"set5": (33.7, 3)}, seeds=1), metrics=["psnr_y"])
    written = write_figures(results, tmp_path / "new" / "figures")
    names = {"forest-psnr_y", "images-psnr_y", "cost-psnr_y", "curves"}
    assert {path.name for path in written} == {f"{n}{s}" for n in names for s in (".pdf", ".png", ".svg")}
    assert sorted(written) == sorted((tmp_path / "new" / "figures").iterdir())


@pytest.mark.parametrize(
    ("places", "gap", "moved"),
    [
        ([1.0, 0.0], 0.5, [1.0, 0.0]),
        ([0.0, 0.0, 0.0], 1.0, [-1.0, 0.0, 1.0]),
        ([0.0, 0.1, 5.0], 1.0, [-0.45, 0.55, 5.0]),
        ([0.0, 0.9, 1.0], 1.0, [-11 / 30, 19 / 30, 49 / 30]),
        ([], 1.0, []),
    ],
)
def test_labels_are_moved_apart_as_little_as_can_be(
    places: list[float], gap: float, moved: list[float]
) -> None:
    assert apart(places, gap) == pytest.approx(moved)


@pytest.mark.parametrize(
    ("places", "moved"), [([0.0, 0.0], [0.0, 0.3]), ([1.0, 0.95], [1.0, 0.7]), ([0.2, 0.8], [0.2, 0.8])]
)
def test_labels_stay_beside_their_axes(places: list[float], moved: list[float]) -> None:
    assert within(places, 0.3) == pytest.approx(moved)


@pytest.mark.parametrize(
    ("value", "text"), [(4e-4, "0.000"), (-4e-4, "0.000"), (-0.5, "−0.500"), (1, "+1.000")]
)
def test_numbers_have_their_sign_and_zero_none(value: float, text: str) -> None:
    assert signed(value, 3) == text
