"""Figures of made-up results."""

import math
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from srkd_bench.cli.commands.figures import write_figures
from srkd_bench.evaluation.multiplier import multipliers
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score
from srkd_bench.evaluation.statistics import Difference, differences
from srkd_bench.report.figures.curves import curves
from srkd_bench.report.figures.palette import KNOWN, OTHERS, palette
from srkd_bench.report.figures.registry import CAPTIONS, FIGURES, figures, save
from srkd_bench.report.figures.series import means, methods
from srkd_bench.report.figures.style import apart, within
from srkd_bench.report.figures.svg import to_svg
from srkd_bench.report.tables.differences import signed
from srkd_bench.report.tables.per_image import per_image
from srkd_bench.report.tables.table import model_labels
from tests.support.made_up_results import METHODS, study

SMALL = {"set5": (33.7, 5), "bsd100": (29.6, 30)}
LONGER = "none@equal-cost"
HOSTILE = "$\\frac{$\n<script>--> ]]> alert(1)</script> é"


@lru_cache
def small() -> Results:
    return costed(study(datasets=SMALL, seeds=6))


def costed(results: Results, longer: int = 10_000) -> Results:
    """Results whose methods cost ten times a step of the student alone, which has `longer` steps as a control."""
    steps = dict.fromkeys(results.columns[2:], 1000) | {LONGER: longer}
    return replace(results, steps=steps, step_costs={model: 10.0 for model in steps if "none" not in model})


@lru_cache
def controlled() -> Results:
    """A study with a control that gains more than every method."""
    results = costed(study([*METHODS, LONGER], datasets=SMALL, seeds=6))
    gained = [replace(one, value=one.value + 0.3) if one.model == LONGER else one for one in results.scores]
    return replace(results, scores=gained)


def points(line: Line2D) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in np.asarray(line.get_xydata(), dtype=float)]


def lines(axes: Axes, colour: str) -> list[list[tuple[float, float]]]:
    """The points of the lines in a colour."""
    return [points(line) for line in axes.get_lines() if line.get_color() == colour]


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
    if name.startswith(("forest", "images", "cost")):
        labels.remove("w/o KD")  # named by the axis
        assert any("minus that of w/o KD (dB)" in word for word in words(drawn()[name]))
    assert labels <= {word.partition(":")[0] for word in words(drawn()[name])}


@pytest.mark.parametrize("name", ["forest", "seeds", "images"])
def test_every_data_set_is_named_and_a_method_that_is_missing_hurts_nobody(name: str) -> None:
    results = study(datasets=SMALL, seeds=2, without=("rvkd",))
    figure = FIGURES[name](results, "psnr_y")
    assert figure is not None
    shown = {word.partition(" (")[0] for word in words(figure)}
    assert {"Set5", "BSD100", "HKD"} <= shown


def test_where_there_is_nothing_to_draw_there_is_no_figure() -> None:
    one_seed = costed(study(datasets=SMALL, seeds=1))
    assert FIGURES["seeds"](one_seed, "psnr_y") is None
    assert {"forest-psnr_y", "images-psnr_y", "cost-psnr_y"} <= set(figures(one_seed))
    assert FIGURES["cost"](study(datasets=SMALL, seeds=2), "psnr_y") is None
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


@pytest.mark.parametrize("dataset", [None, "set5"])
def test_the_differences_of_seeds_are_those_that_the_statistics_average(dataset: str | None) -> None:
    partial = replace(
        small(),
        scores=[
            replace(one, value=math.inf) if (one.model, one.image) == ("hkd", "image001") else one
            for one in small().scores
            if (one.model, one.dataset, one.seed) != ("hkd", "bsd100", 3)
        ],
    )
    found = next(
        one for one in differences(partial, "psnr_y") if (one.model, one.dataset) == ("hkd", dataset)
    )
    assert len(found.unit_means) == found.seeds == (5 if dataset is None else 6)
    assert fmean(found.unit_means) == pytest.approx(found.mean)


def test_means_that_are_infinite_are_left_out() -> None:
    scores = [replace(score, value=math.inf) for score in small().scores if score.model == "hkd"]
    assert means(replace(small(), scores=scores), "psnr_y") == {("set5", "hkd"): {}, ("bsd100", "hkd"): {}}


def known(model: str, mean: float, p: float | None, **facts: object) -> Difference:
    seeds, half = (6, 0.01) if p is not None else (1, math.nan)
    simultaneous = (mean - 0.02, mean + 0.02) if p is not None else None
    whole = Difference(
        model, "none", "psnr_y", None, mean, mean - half, mean + half, 0.01, seeds, 5, p, p, simultaneous
    )
    return replace(whole, **facts)  # type: ignore[arg-type]  # any of its fields


def drawn_forest(monkeypatch: pytest.MonkeyPatch, found: list[Difference], results: Results) -> Figure:
    monkeypatch.setattr("srkd_bench.evaluation.statistics.differences", lambda results, metric: found)
    figure = FIGURES["forest"](results, "psnr_y")
    assert figure is not None
    return figure


def test_the_forest_shows_intervals_and_verdicts_as_the_statistics_give_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [known("hkd", 0.02, 0.03), known("ckd", -0.0002, 0.9), known("rkd", -0.5, None)]
    found += [known("hkd", 0.07, 0.03, dataset="set5", p_holm=None, simultaneous=None)]
    figure = drawn_forest(monkeypatch, found, small())
    shown = {word.strip() for word in words(figure)}
    assert "+0.020 [+0.010, +0.030] better" in shown
    assert "0.000 [−0.010, +0.010] not significant" in shown
    assert {"−0.500", "+0.070 [+0.060, +0.080]"} <= shown  # no test, and no verdict on a single data set
    (axes,) = figure.axes
    spans = [[x for x, _ in line] for line in lines(axes, KNOWN["hkd"].colour)]
    assert [0.0, 0.04] in [pytest.approx(span) for span in spans]  # simultaneous
    assert [0.01, 0.03] in [pytest.approx(span) for span in spans]
    assert [0.06, 0.08] in [pytest.approx(span) for span in spans]
    widths = {line.get_linewidth() for line in axes.get_lines() if len(points(line)) == 2}
    assert len(widths) >= 2


def test_methods_without_a_significant_difference_are_pale_on_every_data_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sets = {"p_holm": None, "simultaneous": None, "dataset": "set5"}
    found = [known("hkd", 0.02, 0.03), known("ckd", 0.0, 0.9), known("rkd", 0.5, None)]
    found += [known("hkd", 0.0, 0.9, **sets), known("ckd", 0.3, 0.01, **sets)]
    (axes,) = drawn_forest(monkeypatch, found, small()).axes
    opacity = {
        model: {
            line.get_alpha()
            for line in axes.get_lines()
            if line.get_color() == look.colour and line.get_marker() != "o"
        }
        for model, look in KNOWN.items()
    }
    assert opacity["hkd"] == {1}
    assert opacity["ckd"] == opacity["rkd"] == {0.4}


def test_the_forest_has_a_dot_for_each_seed_and_all_data_sets_first() -> None:
    (axes,) = drawn()["forest-psnr_y"].axes
    rows = [text.get_text() for text in axes.get_yticklabels()]
    assert rows[:2] == ["All data sets", "HKD"]
    assert rows.index("All data sets") < rows.index("Set5") < rows.index("BSD100")
    dots = [line for line in lines(axes, KNOWN["hkd"].colour) if len(line) == 6]
    found = {one.dataset: one for one in differences(small(), "psnr_y") if one.model == "hkd"}
    expected = [found[dataset].unit_means for dataset in (None, *SMALL)]
    assert [[x for x, _ in line] for line in dots] == [pytest.approx(own) for own in expected]
    assert [round(line[0][1]) for line in dots] == [y for y, row in enumerate(rows) if row == "HKD"]
    width, _ = drawn()["forest-psnr_y"].get_size_inches()
    assert width > 7


def test_controls_have_an_axis_of_their_own_and_do_not_squeeze_that_of_the_methods() -> None:
    figure = FIGURES["forest"](controlled(), "psnr_y")
    assert figure is not None
    methods_, control = figure.axes
    assert [text.get_text() for text in control.get_yticklabels()] == [
        "w/o KD at equal cost", "All data sets", "Set5", "BSD100",
    ]  # fmt: skip
    without = drawn()["forest-psnr_y"].axes[0]
    assert methods_.get_xlim() == pytest.approx(without.get_xlim())
    assert control.get_xlim()[1] > 0.3 > methods_.get_xlim()[1]
    for name in ("seeds", "images", "curves"):
        found = curves(controlled()) if name == "curves" else FIGURES[name](controlled(), "psnr_y")
        assert found is not None
        assert "w/o KD at equal cost" not in words(found)
    assert methods(controlled()) == METHODS


def test_intervals_of_two_seeds_do_not_hide_the_differences() -> None:
    two = study(["none", "hkd", "ckd", "rkd"], datasets=SMALL, seeds=2)
    figure = FIGURES["forest"](two, "psnr_y")
    assert figure is not None
    found = differences(two, "psnr_y")
    low, high = figure.axes[0].get_xlim()
    assert low < min(one.low for one in found)
    assert high - low < max(s[1] - s[0] for one in found if (s := one.simultaneous))


def test_the_band_of_small_differences_is_of_decibels_only() -> None:
    for metric, banded in (("psnr_y", True), ("ssim_y", False)):
        assert ("±0.02 dB" in words(drawn()[f"forest-{metric}"])) == banded


def test_the_cost_figure_puts_methods_where_their_training_costs_and_the_student_alone_on_a_line() -> None:
    results = controlled()
    figure = FIGURES["cost"](results, "psnr_y")
    assert figure is not None
    (axes,) = figure.axes
    gains = {one.model: one.mean for one in differences(results, "psnr_y") if one.dataset is None}
    assert lines(axes, KNOWN["none"].colour)[0] == [(1000, 0), (10_000, pytest.approx(gains[LONGER]))]
    for model in ("hkd", "ckd", "rvkd"):
        marks = [line for line in lines(axes, KNOWN[model].colour) if len(line) == 1]
        ((x, y),) = marks[0]
        assert y == pytest.approx(gains[model])
        assert x == pytest.approx(10_000, rel=0.12)
    places = {lines(axes, KNOWN[model].colour)[0][0][0] for model in METHODS[1:]}
    assert len(places) == 5  # beside each other, though all cost the same
    assert axes.get_xscale() == "log"


def test_a_dotted_line_of_the_cost_figure_ends_after_k_times_the_steps() -> None:
    results = controlled()
    worth = multipliers(results, "psnr_y")["ckd"]
    assert 1 < worth.k < worth.largest
    figure = FIGURES["cost"](results, "psnr_y")
    assert figure is not None
    dotted = [line for line in figure.axes[0].get_lines() if line.get_linestyle() == ":"]
    ends = [points(line)[0][0] for line in dotted if line.get_color() == KNOWN["ckd"].colour]
    assert ends == [pytest.approx(1000 * worth.k)]
    assert f"CKD, k = {worth.k:.3g}" in words(figure)
    assert "RVKD, k <1" in words(figure)


def test_without_the_control_the_cost_figure_knows_no_k() -> None:
    assert not [word for word in words(drawn()["cost-psnr_y"]) if "k " in word.split(", ")[-1]]


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
    svg = to_svg(figures(costed(study()))[name], name)
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

    clean = costed(study(datasets=SMALL, seeds=2))
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
        steps={named(model): steps for model, steps in clean.steps.items()},
        step_costs={named(model): steps for model, steps in clean.step_costs.items()},
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
    made = costed(study(["none", "hkd"], datasets={"set5": (33.7, 3)}, seeds=1))
    results = replace(made, metrics=["psnr_y"])
    written = write_figures(figures(results), tmp_path / "new" / "figures")
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
