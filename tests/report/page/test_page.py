"""The page, as text; test_page_browser.py opens it."""

import base64
import hashlib
import io
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from srkd_bench.evaluation.controls import EQUAL_COST
from srkd_bench.evaluation.regions import Crop, Panel, View
from srkd_bench.evaluation.results import About, Network, Results, Training
from srkd_bench.evaluation.scores import Score
from srkd_bench.evaluation.statistics import Difference
from srkd_bench.evaluation.statistics import Verdict as ComparisonVerdict
from srkd_bench.report.page.cards import cards
from srkd_bench.report.page.citations import AUTHOR, TITLE, bibtex, known
from srkd_bench.report.page.embedded import selection
from srkd_bench.report.page.findings import findings, listed
from srkd_bench.report.page.page import PAGE, SIGNS, to_html
from srkd_bench.report.render import render
from srkd_bench.report.study import study_claims
from srkd_bench.report.tables.claims import Answer, check
from srkd_bench.report.tables.per_image import per_image
from tests.support import made_up_results as madeup

HOSTILE = "<script>alert(1)</script>\"'</style>\n</title>--><img src=x onerror=alert(2)>&amp;{{ 7 * 7 }}"
VOID = {"meta", "img", "input", "br", "image", "rect"}


class Page(HTMLParser):
    """A page's elements as (tag, attributes, text within), in order of their beginnings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[tuple[str, list[str]]] = []
        self.feed(text)
        assert not self._open, "not all elements are closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        texts: list[str] = []
        self.elements.append((tag, dict(attrs), texts))
        if tag not in VOID:
            self._open.append((tag, texts))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        for _, texts in self._open:
            texts.append(data)

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [a for t, a, _ in self.elements if t == tag and all(a.get(k) == v for k, v in wanted.items())]

    def texts(self, tag: str, cls: str | None = None) -> list[str]:
        return [
            " ".join("".join(texts).split())
            for t, attributes, texts in self.elements
            if t == tag and (cls is None or cls in (attributes.get("class") or "").split())
        ]


def panel(models: list[str], dataset: str = "set5", image: str = "baby", side: int = 64) -> Panel:
    """A region of noise, which no PNG makes smaller."""
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    views = [View("hr", noise, None), View("lr", noise[::2, ::2].copy(), None)]
    views += [View(model, noise, 31.234) for model in models]
    return Panel(Crop(dataset, image, 8, 16, side, side), 0, views, noise, (480, 320))


def small(seeds: int = 6, **others: object) -> Results:
    made = madeup.study(seeds=seeds, datasets={"set5": (33.7, 3), "set14": (30.3, 4)})
    return replace(made, **others)  # type: ignore[arg-type]  # any of its fields


@pytest.fixture(scope="module")
def whole() -> str:
    """Six methods, four data sets, two metrics, figures, claims and eight regions."""
    made = replace(
        madeup.study(),
        scale=2,
        budget="every student is trained for 10 steps",
        about={model: About(f"What {model} does.", "response", "Someone 2020") for model in madeup.METHODS},
        steps=dict.fromkeys(madeup.METHODS, 10),
        step_costs=dict.fromkeys(madeup.METHODS[1:], 10.0),
    )
    panels = [panel(made.columns, dataset) for dataset in made.datasets for _ in range(2)]
    return render(made, "html", panels=panels, verdicts=check(made, study_claims()))


def test_all_of_the_study_with_pictures_is_less_than_5_mb(whole: str) -> None:
    assert 200_000 < len(whole.encode()) < 5_000_000


def test_the_page_is_whole_and_well_formed(whole: str) -> None:
    assert whole.startswith("<!DOCTYPE html>")
    page = Page(whole)
    figures = page.texts("figcaption")
    assert [text.split(".")[0] for text in figures] == [f"Figure {k}" for k in range(1, 10)]
    numbers = [text.split(".")[0] for text in page.texts("caption")]
    assert numbers == [f"Table {k}" for k in range(1, len(numbers) + 1)]
    for name in (
        "Gains",
        "Scores",
        "Differences by data set",
        "Claims",
        "Cost",
        "Image regions",
        "Scores by image",
        "Training curves",
        "Settings",
        "How to cite",
    ):
        assert name in page.texts("h2")


def test_the_page_leads_with_gains_then_means_then_intervals_without_verdicts(whole: str) -> None:
    page = Page(whole)
    titles = [caption.partition(". ")[2] for caption in page.texts("caption")]
    assert titles[0] == "Gain in PSNR-Y over w/o KD, in dB."
    assert titles[1] == "PSNR-Y in dB; higher is better."
    assert titles[3] == "PSNR-Y minus that of w/o KD, in dB, paired by seed and image."
    tables = page.texts("table")
    assert "Holm pVerdict" in tables[0]
    assert "± " in tables[1]
    assert "95 % interval, new images" in tables[3]
    assert not re.search("better|worse|significant", tables[3])
    assert page.texts("table", "differences")[0].index("All data sets") < tables[3].index("Set5")


def test_the_page_says_what_intervals_cover_and_what_can_be_detected(whole: str) -> None:
    notes = Page(whole).texts("li")
    assert "Intervals cover the variation between seeds, for this teacher and these images." in notes
    assert any(re.search(r"one of 0\.\d+ dB is detected with a probability of 80 %", note) for note in notes)
    assert any("new images as well as new seeds: HKD [" in note for note in notes)


def test_the_verdicts_have_one_vocabulary(whole: str) -> None:
    page = Page(whole)
    words = {text.split(" ", 1)[1] for text in page.texts("td", "verdict")}
    assert words <= {"better", "worse", "not significant"}
    assert len(words) > 1
    assert {text.split(" ", 1)[1] for text in page.texts("span", "verdict")} <= {
        "holds", "fails", "not significant", "not measured",
    }  # fmt: skip
    assert not re.search("apart|undecided|underpowered|too few|was shown", " ".join(page.texts("body")))


def test_of_one_data_set_gains_say_all() -> None:
    page = Page(to_html(madeup.study(seeds=3, datasets={"set5": (33.7, 3)})))
    assert "Differences by data set" not in page.texts("h2")
    assert "Gain on Set5" in page.texts("th")


def test_nothing_on_the_page_is_fetched_and_its_policy_forbids_it(whole: str) -> None:
    page = Page(whole)
    (meta,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    policy = meta["content"] or ""
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind in ("style", "script"):
        ((_, _, texts),) = [element for element in page.elements if element[0] == kind]
        digest = base64.b64encode(hashlib.sha256("".join(texts).encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    for tag, attributes, _ in page.elements:
        assert "style" not in attributes, f"the policy refuses the style of {tag}"
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href", "action", "data", "poster"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/"))
    assert "url(" not in re.sub(r"url\(#", "", whole)
    assert "@import" not in whole


def test_a_screen_reader_finds_its_way(whole: str) -> None:
    page = Page(whole)
    levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(a.get("scope") in ("col", "row", "rowgroup") for a in page.all("th"))
    assert len(page.all("table")) == len(page.texts("caption"))
    assert all("alt" in a for a in page.all("img"))
    assert all(a["alt"] for a in page.all("img", **{"class": "pixels"}))
    assert all(
        a.get("aria-label") for t, a, _ in page.elements if a.get("role") in ("img", "region") and t != "svg"
    )
    ids = Counter(a["id"] for _, a, _ in page.elements if "id" in a)
    assert ids.most_common(1)[0][1] == 1
    targets = [a["href"][1:] for a in page.all("a") if a["href"]]
    targets += [name for _, a, _ in page.elements for name in (a.get("aria-labelledby") or "").split()]
    assert targets
    assert set(targets) <= set(ids)
    assert page.all("html")[0]["lang"] == "en"


def test_every_control_has_a_label(whole: str) -> None:
    page = Page(whole)
    controls = page.all("input") + page.all("select")
    named = {a["for"] for a in page.all("label") if "for" in a}
    within = len(re.findall(r"<label[^>]*>[^<]*(?:<span>)?\w[^<]*(?:</span>)? ?<input", whole))
    assert {a["id"] for a in controls if "id" in a} == named
    assert len(controls) == len(named) + within == 8 * 3 + 2


def test_names_of_strangers_are_shown_and_never_obeyed() -> None:
    scores = [
        Score(model, HOSTILE, HOSTILE, "psnr_y", HOSTILE, 30.0 + seed, method=model, seed=seed)
        for model in ("none", HOSTILE)
        for seed in range(6)
    ]
    card = {"finished": HOSTILE, "seconds": HOSTILE, "command": HOSTILE, "machine": HOSTILE}
    hostile = Results(
        HOSTILE, ["none", HOSTILE], [HOSTILE], ["psnr_y"], scores,
        networks=[Network("student", HOSTILE, 1, 1)], seeds=list(range(6)), budget=HOSTILE, notes=[HOSTILE],
        trainings=[Training(HOSTILE, 0, [{"step": s, "terms": {HOSTILE: 1.0}} for s in (0, 1)], card)],
        about={HOSTILE: About(HOSTILE, HOSTILE, HOSTILE)},
    )  # fmt: skip
    tame = render(hostile, "html", panels=[panel([HOSTILE], HOSTILE, HOSTILE)])
    page = Page(tame)
    assert len(page.all("script")) == len(page.all("style")) == len(page.all("title")) == 1
    assert not page.all("img", src="x")
    shown = HOSTILE.replace("\n", " ")
    assert any(shown in text for text in page.texts("h3"))
    assert shown in page.texts("li")
    assert "49" not in "".join(page.texts("p"))


def test_bold_means_best_and_nothing_else() -> None:
    means = {"none": 30.0, "hkd": 30.2, "ckd": 30.1, "rkd": 29.0}
    scores = [Score(m, "set5", "a", "psnr_y", "y@1", value, method=m, seed=0) for m, value in means.items()]
    page = Page(to_html(Results("demo", list(means), ["set5"], ["psnr_y"], scores)))
    cells = page.texts("td")
    assert "30.200, best" in cells
    assert "30.100, second" in cells
    assert "29.000" in cells
    css = (PAGE / "page.css").read_text(encoding="utf-8")
    assert re.search(r"\.best \.value {[^}]*font-weight: 700", css)
    assert re.search(r"\.second \.value {[^}]*underline", css)
    heavy = re.findall(r"([^{}]*){[^}]*font-weight: [67]00", css)
    assert not [rule for rule in heavy if re.search("verdict|spread|scores|gains", rule)]


def test_the_columns_without_rank_are_named() -> None:
    assert "Not ranked: Bicubic and Teacher." in " ".join(Page(to_html(small())).texts("p", "note"))
    students = small(columns=["none", "hkd", "ckd"])
    assert "Not ranked" not in to_html(students)


def test_names_are_never_read_as_footnotes_or_as_rows_of_the_study() -> None:
    means = {"none": 30.0, "hkd": 30.2}
    datasets = ["Budget: mine", "mine (study)", "set5"]
    scores = [
        Score(m, d, "a", "psnr_y", "y@1", v, method=m, seed=0) for m, v in means.items() for d in datasets
    ]
    made = Results("demo", list(means), datasets, ["psnr_y"], scores, budget="ten steps", notes=["a note"])
    page = Page(to_html(made, highlight="significant", reference=True))
    (note,) = (text for text in page.texts("ul", "note") if "(study): " in text)
    assert "Budget: mine: nothing is highlighted" in note
    assert "ten steps" not in note
    assert "a note" not in note
    assert "Protocol y@1" not in note
    assert [text.split()[:2] for text in page.texts("tr", "study")] == [["Set5", "(study)"]]


@pytest.mark.parametrize("theme", [0, 1, 2], ids=["light", "dark", "print"])
def test_all_colours_can_be_read(theme: int) -> None:
    css = (PAGE / "page.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--(\w+): (#\w+)", re.findall(r":root {([^}]*)}", css)[theme]))

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for name in ("ink", "soft"):
        light, dark = sorted((luminance(colours[name]), luminance(colours["paper"])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, name


def difference(model: str, mean: float, *, seeds: int = 6, holm: float | None = 0.01) -> Difference:
    low, high = (mean - 0.01, mean + 0.01) if seeds > 1 else (float("nan"), float("nan"))
    return Difference(model, "none", "psnr_y", None, mean, low, high, 0.01, seeds, 7, holm, holm)


def test_the_findings_name_what_is_better_worse_and_not_significant() -> None:
    found = findings(
        small(),
        "psnr_y",
        [
            difference("hkd", 0.03),
            difference("ckd", 0.05),
            difference("rvkd", -0.1),
            difference("rkd", 0.2, holm=0.05),
        ],
    )
    assert found.verdict == "CKD and HKD are better than w/o KD; RVKD is worse."
    assert found.lead == (
        "Mean differences in PSNR-Y from w/o KD, the same student trained without distillation, over 6 seeds and"
        " the 7 images of Set5 and Set14, each data set with the same weight. A method is better or worse if a"
        " paired t test over seeds gives p < 0.05 after Holm's adjustment for 4 comparisons."
    )
    assert found.groups == {
        "Better": "CKD +0.050 dB and HKD +0.030 dB",
        "Worse": "RVKD −0.100 dB",
        "Not significant": "RKD +0.200 dB",
    }


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ([difference("ckd", 0.05)], "CKD is better than w/o KD."),
        (
            [difference("ckd", -0.05), difference("hkd", -0.1)],
            "No method is better than w/o KD; CKD and HKD are worse.",
        ),
        ([difference("ckd", 0.05, holm=0.3)], "No method differs significantly from w/o KD."),
        ([difference("ckd", 0.05, seeds=1, holm=None)], "No difference from w/o KD can be tested."),
    ],
)
def test_the_verdict_is_one_sentence(found: list[Difference], verdict: str) -> None:
    assert findings(small(), "psnr_y", found).verdict == verdict


def test_controls_are_no_methods() -> None:
    results, longer = small(columns=["none", "ckd", EQUAL_COST]), difference(EQUAL_COST, 0.3)
    found = findings(results, "psnr_y", [longer, difference("ckd", 0.05)])
    assert found.verdict == "CKD is better than w/o KD."
    assert found.groups == {
        "Better": "CKD +0.050 dB",
        "Controls": "w/o KD at equal cost +0.300 dB (better)",
    }
    assert findings(results, "psnr_y", [longer]).verdict == "No method is compared with w/o KD."


def test_what_cannot_be_tested_is_stated_with_the_reason() -> None:
    found = findings(small(1), "psnr_y", [difference("ckd", 0.5, seeds=1, holm=None)])
    assert found.lead.endswith("A test needs two seeds.")
    assert found.groups == {"Not tested": "CKD +0.500 dB"}
    equal = findings(small(), "psnr_y", [difference("ckd", 0.5, holm=None), difference("hkd", 0.1)])
    assert list(equal.groups) == ["Better", "Not tested"]
    page = Page(to_html(small(1)))
    assert any("one seed" in note and "two" in note for note in page.texts("li"))


def test_the_teachers_difference_is_the_mean_over_data_sets() -> None:
    scores = [
        Score("teacher", "a", "x", "psnr_y", "y@1", 31.0),
        Score("teacher", "b", "x", "psnr_y", "y@1", 35.0),
    ]
    scores += [
        Score("none", d, "x", "psnr_y", "y@1", 30.0, method="none", seed=s) for d in "ab" for s in (0, 1)
    ]
    measured = Results("demo", ["teacher", "none", "hkd"], ["a", "b"], ["psnr_y"], scores)
    found = findings(measured, "psnr_y", [difference("hkd", 0.1)])
    assert found.notes == ["For comparison, the teacher differs from w/o KD by +3.000 dB."]


def test_another_baseline_is_the_one_that_the_findings_are_about() -> None:
    found = findings(small(baseline="hkd"), "psnr_y", [difference("ckd", 0.1)])
    assert found.verdict == "CKD is better than HKD."
    assert "without distillation" not in found.lead
    page = to_html(small(baseline="hkd"))
    assert "without a teacher" not in page
    assert "All others are compared with HKD" in page


def test_words_are_listed_as_in_a_sentence() -> None:
    assert [listed(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


def test_a_page_of_nothing_says_so() -> None:
    nothing = Results("demo", ["teacher", "none"], ["set5"], ["psnr_y"], notes=["none: not trained yet"])
    page = Page(render(nothing, "html"))
    assert "Nothing is measured yet." in page.texts("p")
    assert "none: not trained yet" in page.texts("li")
    lonely = replace(
        nothing, scores=[Score("none", "set5", "a", "psnr_y", "y@1", 30.0, method="none", seed=0)]
    )
    assert "Nothing can be compared yet." in Page(render(lonely, "html")).texts("p")


def test_an_image_gains_what_it_gains_on_shared_seeds() -> None:
    values = {("none", 0): 30.0, ("none", 1): 31.0, ("hkd", 1): 31.5, ("hkd", 2): 99.0}
    scores = [Score(m, "set5", "a", "psnr_y", "y@1", v, method=m, seed=s) for (m, s), v in values.items()]
    scores += [Score("none", "set5", "b", "psnr_y", "y@1", float("inf"), method="none", seed=1)]
    scores += [Score("hkd", "set5", "b", "psnr_y", "y@1", float("inf"), method="hkd", seed=1)]
    scores += [Score("teacher", "set5", "a", "psnr_y", "y@1", 33.0)]
    table = per_image(Results("demo", ["teacher", "none", "hkd"], ["set5"], ["psnr_y"], scores), "psnr_y")
    assert (table.levels, table.gains) == (["Teacher", "w/o KD"], ["HKD"])
    assert [(row.image, row.levels, row.gains) for row in table.rows] == [
        ("a", ["33.000", "30.500"], ["+0.500"]),
        ("b", ["–", "inf"], ["–"]),
    ]


def test_cards_say_once_what_all_trainings_share() -> None:
    card = {"srkd": "0.1.0", "command": "srkd run", "seconds": 61.2, "finished": "2026-01-02T03:04:05+00:00"}
    trainings = [
        Training("none", seed, [], card | {"device": device}) for seed, device in ((0, "cpu"), (1, "cuda"))
    ]
    made = cards(Results("demo", ["none"], ["set5"], ["psnr_y"], trainings=trainings))
    assert made.facts == {"srkd": ["0.1.0"], "Device": ["cpu", "cuda"], "Command": ["srkd run"]}
    assert made.rows[1] == ["w/o KD", "1", "2026-01-02 03:04", "61 s"]
    assert made.year == "2026"


def test_pictures_are_exact_and_pixels_are_not_smoothed() -> None:
    shown = panel(["none"])
    page = Page(to_html(small(), [shown]))
    sources = [a["src"] or "" for a in page.all("img", **{"class": "pixels"})]
    decoded = np.array(Image.open(io.BytesIO(base64.b64decode(sources[2].partition(",")[2]))))
    assert np.array_equal(decoded, shown.views[2].pixels)
    assert "image-rendering: pixelated" in (PAGE / "page.css").read_text(encoding="utf-8")
    assert "31.23 dB" in page.texts("span", "psnr")


def test_claims_are_shown_with_their_verdicts() -> None:
    made = small()
    page = Page(to_html(made, verdicts=check(made, study_claims())))
    first = page.texts("span", "claim").index("CKD is the best single method")
    assert page.texts("span", "verdict")[first] in ("✓ holds", "✗ fails", "○ not significant")
    assert "CKD against HKD on All" in page.texts("span", "because")[first]


def test_every_verdict_has_a_sign_of_its_own() -> None:
    answers = {*get_args(ComparisonVerdict), *get_args(Answer)}
    assert set(SIGNS) == answers
    assert len(set(SIGNS.values())) == len(answers)


def test_every_method_is_explained_in_its_own_line() -> None:
    about = {"none": About("Nothing.", "none", "A 2017"), "hkd": About("Copies SR.", "response", "B 2014")}
    page = Page(to_html(small(about=about)))
    assert "Copies SR. Compares outputs. B 2014" in page.texts("dd")


def test_the_page_cites_srkd_the_study_and_the_source_of_every_method() -> None:
    about = {
        "none": About("Nothing.", "none", "Lim et al., CVPRW 2017, arXiv:1707.02921"),
        "rkd+hkd": About("Both.", "composition", "the study's"),
        "mine": About("Mine.", "feature", "Me {2026}, unpublished"),
        "elsewhere": About("Not in the report.", "feature", "B 2014"),
    }
    results = small(columns=["none", "rkd+hkd", "mine"], about=about)
    cited = bibtex(results, "2026")
    assert re.findall(r"^@\w+{(\w+),$", cited, re.MULTILINE) == [
        "srkd", "study", "lim2017edsr", "park2019rkd", "hinton2014hkd", "mine",
    ]  # fmt: skip
    assert "year      = {2026}," in cited
    assert "note      = {Me 2026, unpublished}," in cited
    assert cited.count("{") == cited.count("}")
    ((_, _, texts),) = [element for element in Page(to_html(results)).elements if element[0] == "pre"]
    assert "".join(texts) == bibtex(results, "")


def test_every_built_in_method_has_a_bibtex_entry_with_its_identifier() -> None:
    folder = Path(__file__).parents[3] / "srkd_bench" / "methods" / "builtin"
    sources = {
        file.stem: re.search(r'source = ".*(?:arXiv|doi):(\S+)"', file.read_text(encoding="utf-8"))
        for file in folder.glob("[!_]*.py")
    }
    assert len(sources) > 10
    for method, source in sources.items():
        assert source is not None, method
        assert f"{{{source[1]}}}" in known()[{"none": "edsr"}.get(method, method)]
    for method in known().keys() - {"study"}:
        assert {"author", "title", "year"} <= set(re.findall(r"^  (\w+) +=", known()[method], re.MULTILINE))


def test_srkd_is_cited_as_its_citation_file_says() -> None:
    citation = (Path(__file__).parents[3] / "CITATION.cff").read_text(encoding="utf-8")
    assert f'title: "{TITLE}"' in citation
    assert f"name: {AUTHOR}\n" in citation


def test_regions_of_other_images_than_the_scored_ones_are_explained() -> None:
    scored, other = panel(["none"], "set14"), panel(["none"], "photos-test", "coffee")
    (chosen,) = selection(["set5", "set14@edsr"], [scored])
    assert chosen.startswith("They were chosen automatically in each data set")
    named, elsewhere, builtin = selection(["set5"], [replace(other, named=True)])
    assert "--crop" in named
    assert elsewhere.startswith("Images of photos-test do not belong to the scored data sets (Set5)")
    assert builtin == "photos-test: photographs that come with scikit-image."
    text = " ".join(Page(to_html(small(), [replace(other, named=True)])).texts("p"))
    assert " ".join((named, elsewhere, builtin)).replace("(Set5)", "(Set5, Set14)") in text
