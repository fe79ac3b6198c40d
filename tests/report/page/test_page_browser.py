"""The page in a real browser. Needs the extra `browser` and a Chromium on the PATH; see .ci/run."""

import re
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from srkd_bench.report.page.page import to_html
from srkd_bench.report.render import render
from srkd_bench.report.study import study_claims
from srkd_bench.report.tables.claims import check

from .test_page import HOSTILE, panel, small

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install '.[browser]'"
)
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("no Chromium on the PATH", allow_module_level=True)

WIDTHS = [390, 820, 1280]
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six methods, six seeds, two data sets and metrics, two regions."""
    made = small()
    panels = [panel(made.columns), panel(made.columns, "set14", "image001")]
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(
        render(made, "html", panels=panels, verdicts=check(made, study_claims())), encoding="utf-8"
    )
    return path


class Visit:
    """A page that is open, and what it said and asked for."""

    def __init__(self, browser: Any, file: Path, **settings: Any) -> None:
        self.context = browser.new_context(**settings)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url.partition(":")[0]))
        self.page.goto(file.as_uri())


@pytest.fixture
def visit(browser: Any, file: Path) -> Iterator[Visit]:
    visit = Visit(browser, file, viewport={"width": 1280, "height": 900})
    yield visit
    visit.context.close()


def names(page: Any, column: int = 1, shown: str = ":not([hidden])") -> list[str]:
    cells = page.locator(f".sortable >> nth=0 >> tbody tr{shown} > :nth-child({column})")
    return [text.strip() for text in cells.all_text_contents()]


def test_the_page_says_nothing_to_the_console_and_asks_for_nothing(visit: Visit) -> None:
    visit.page.locator("summary").evaluate_all("all => all.forEach(one => one.click())")
    visit.page.mouse.wheel(0, 5000)
    assert visit.said == []
    assert visit.asked.count("file") == 1
    assert set(visit.asked) <= {"file", "data"}


def test_its_policy_stops_what_would_open_a_connection(visit: Visit) -> None:
    attempts = """address => Promise.all([
        fetch(address, {mode: 'no-cors'}).catch(() => null),
        new Promise(done => Object.assign(new Image(), {onload: done, onerror: done, src: address})),
        new Promise(done => document.head.append(Object.assign(
            document.createElement('script'), {onload: done, onerror: done, src: address}))),
    ])"""
    called: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            called.append(self.path)
            self.send_error(404)

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        visit.page.evaluate(attempts, f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
    assert called == []
    assert "Content Security Policy" in " ".join(visit.said)


def test_a_column_is_sorted_by_its_heading_and_says_so(visit: Visit) -> None:
    page = visit.page
    heading = page.locator(".sortable >> nth=0 >> th", has_text="Teacher")
    assert heading.get_attribute("aria-sort") is None
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    falling = [float(text) for text in names(page, 4)]
    assert falling == sorted(falling, reverse=True)
    assert len(set(falling)) == 7
    heading.locator("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert [float(text) for text in names(page, 4)] == falling[::-1]
    page.locator(".sortable >> nth=0 >> th", has_text="Image").locator("button").click()
    assert heading.get_attribute("aria-sort") is None
    assert names(page) == sorted(names(page))


def test_true_minus_signs_sort_as_numbers_and_what_is_missing_comes_last(visit: Visit) -> None:
    page = visit.page
    page.evaluate("""() => {
        const rows = document.querySelector('.sortable tbody').rows;
        const texts = ['−0.200', '–', '+0.100', '0.000', '−1.000', 'inf', '–'];
        texts.forEach((text, i) => rows[i].cells[9].textContent = text);
    }""")
    button = page.locator(".sortable >> nth=0 >> th >> nth=9 >> button")
    button.click()
    assert names(page, 10) == ["inf", "+0.100", "0.000", "−0.200", "−1.000", "–", "–"]
    button.click()
    assert names(page, 10) == ["−1.000", "−0.200", "0.000", "+0.100", "inf", "–", "–"]


def test_the_filter_leaves_what_contains_the_words_and_counts_it(visit: Visit) -> None:
    page = visit.page
    field = page.get_by_label("Show images whose name or data set contains").first
    count = page.locator(".filter output").first
    assert count.text_content() == "7 of 7"
    field.fill("SET14")
    assert set(names(page, 2)) == {"Set14"}
    assert count.text_content() == "4 of 7"
    field.fill("image002")
    assert names(page) == ["image002", "image002"]
    field.fill("")
    assert len(names(page)) == 7


def test_the_slider_moves_by_keys_and_pointer_and_says_where_it_is(visit: Visit) -> None:
    page = visit.page
    slider = page.get_by_role("slider", name="Divider").first
    slider.focus()
    assert slider.evaluate("slider => getComputedStyle(slider).outlineStyle") != "none"

    def at() -> str:
        return str(page.locator(".stage").first.evaluate("stage => stage.style.getPropertyValue('--at')"))

    assert at() == "50%"
    page.keyboard.press("ArrowRight")
    assert at() == "51%"
    assert slider.get_attribute("aria-valuetext") == "51 % w/o KD, then HR (ground truth)"
    page.keyboard.press("Home")
    assert at() == "0%"
    stage = page.locator(".stage").first
    stage.click(position={"x": 0.75 * stage.bounding_box()["width"], "y": 20})
    assert at() == "75%"


def test_any_two_views_can_be_laid_over_each_other(visit: Visit) -> None:
    page = visit.page
    views = page.locator(".views").first.locator("img")
    for side, label in (("left", "Bicubic"), ("right", "CKD")):
        page.get_by_label(side.capitalize(), exact=True).first.select_option(label)
        shown = page.locator(f".stage .{side}").first
        index = page.locator(".views").first.locator("li > span:not(.psnr)").all_text_contents().index(label)
        assert shown.get_attribute("src") == views.nth(index).get_attribute("src")
        assert label in shown.get_attribute("alt")


def test_whatever_has_the_focus_shows_it(visit: Visit) -> None:
    seen = set()
    for _ in range(200):
        visit.page.keyboard.press("Tab")
        tag, style, width = visit.page.evaluate("""() => {
            const {outlineStyle, outlineWidth} = getComputedStyle(document.activeElement);
            return [document.activeElement.tagName, outlineStyle, parseFloat(outlineWidth)];
        }""")
        if tag == "BODY":  # past the end
            break
        assert style != "none", tag
        assert width > 0, tag
        seen.add(tag)
    assert {"A", "SUMMARY", "SELECT", "INPUT", "DIV"} <= seen


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window(browser: Any, file: Path, width: int) -> None:
    visit = Visit(browser, file, viewport={"width": width, "height": 900})
    visit.page.locator("summary").evaluate_all("all => all.forEach(one => one.click())")
    assert visit.page.evaluate("document.documentElement.scrollWidth") == width
    visit.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_verdicts_are_in_sight_without_scrolling_sideways(
    browser: Any, file: Path, width: int, scheme: str
) -> None:
    visit = Visit(browser, file, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = visit.page
    headline = page.locator(".headline").bounding_box()
    assert headline["y"] + headline["height"] < 900
    rows = page.locator(".gains >> nth=0 >> tbody tr")
    assert rows.count() == 5
    for i in range(rows.count()):
        shown = (
            rows.nth(i).get_by_text(re.compile("^. (better|worse|not significant)$")).locator("visible=true")
        )
        box = shown.bounding_box()  # of one element: no row has its verdict twice
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    visit.context.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_wide_tables_and_figures_scroll_in_their_box(browser: Any, file: Path, width: int) -> None:
    visit = Visit(browser, file, viewport={"width": width, "height": 900})
    boxes = visit.page.locator(".scroll:visible")
    edges = boxes.evaluate_all("all => all.map(one => one.getBoundingClientRect().right)")
    assert max(edges) <= width
    wider = boxes.evaluate_all("all => all.filter(one => one.scrollWidth > one.clientWidth).length")
    assert wider > 0 if width == 390 else wider < len(edges)
    visit.context.close()


def test_without_script_everything_is_there_and_nothing_that_would_need_it(browser: Any, file: Path) -> None:
    visit = Visit(browser, file, java_script_enabled=False)
    page = visit.page
    assert page.locator(".views img:visible").count() == 2 * 10
    assert page.locator(".compare:visible, .filter:visible, .scripted:visible, th button").count() == 0
    page.locator("summary").last.click()
    assert page.locator("table:visible").count() > 4
    visit.context.close()


def test_names_of_strangers_run_nothing(browser: Any, tmp_path: Path) -> None:
    made = small()
    renamed = {"set5": HOSTILE, "image000": HOSTILE}
    scores = [
        type(score)(
            score.model, renamed.get(score.dataset, score.dataset), renamed.get(score.image, score.image),
            score.metric, score.protocol, score.value, score.run, score.method, score.seed,
        )
        for score in made.scores
    ]  # fmt: skip
    hostile = small(suite=HOSTILE, datasets=[HOSTILE, "set14"], scores=scores, notes=[HOSTILE])
    path = tmp_path / "page.html"
    path.write_text(to_html(hostile, [panel(made.columns, HOSTILE, HOSTILE)]), encoding="utf-8")
    visit = Visit(browser, path)
    assert visit.said == []
    assert HOSTILE.replace("\n", " ") in visit.page.locator("#missing + ul").text_content()
    assert visit.page.locator("script").count() == 1
    visit.context.close()
