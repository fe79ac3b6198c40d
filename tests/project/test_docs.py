import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest
import typer
from pydantic import TypeAdapter

from docs_generators import commands, method_costs, method_figures, method_results, readme, suites
from docs_generators import methods as method_pages
from srkd_bench import __version__
from srkd_bench.cli.app import app
from srkd_bench.config.base import Spec
from srkd_bench.config.suite_file import load_suite
from srkd_bench.evaluation.statistics import differences
from srkd_bench.methods import composition, registry
from srkd_bench.methods.base import Method
from tests.conftest import Srkd
from tests.support.published_scores import published

ROOT = Path(__file__).parent.parent.parent
WRITTEN = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [path.relative_to(ROOT / "docs") for path in WRITTEN[1:]]

pages_of_methods = cache(method_pages.pages)

BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def spoken(text: str) -> tuple[list[str], list[str]]:
    """Return a page's commands: the lines of its code blocks, and commands `between backticks`."""
    blocks = "\n".join(BLOCK.findall(text))
    named = re.findall(r"`(srkd\s[^`]+)`", BLOCK.sub("", text))
    return re.findall(r"^(?:\$ )?(srkd .+)$", blocks, re.MULTILINE), [" ".join(one.split()) for one in named]


@pytest.fixture(scope="module")
def parse() -> Any:
    """Return a function that parses a command line as `srkd` would, without executing it."""

    def silence(command: Any) -> None:
        command.callback = lambda **values: None
        for one in getattr(command, "commands", {}).values():
            silence(one)

    command: Any = typer.main.get_command(app)
    silence(command)
    return lambda words: command.main(words, prog_name="srkd", standalone_mode=False)


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_in_the_documentation_exists(parse: Any, path: Path) -> None:
    typed, named = spoken(path.read_text(encoding="utf-8"))
    # In a sentence something may be left out: asked for help, a command still refuses options that it has not.
    for line in [*typed, *(f"{name} --help" for name in named)]:
        try:
            words = shlex.split(line, comments=True)[1:]
            parse(words[: words.index(">")] if ">" in words else words)
        except Exception as error:
            pytest.fail(f"{line}: {error}")


def test_commands_are_found_in_blocks_and_in_sentences() -> None:
    text = "Type `srkd\nls runs`:\n```sh\nsrkd run demo  # all\n$ srkd store du\n```\nsrkd is `a`\n"
    assert spoken(text) == (["srkd run demo  # all", "srkd store du"], ["srkd ls runs"])


@pytest.mark.parametrize("words", [["runn"], ["run", "--nothing", "--help"]])
def test_a_command_that_does_not_exist_is_noticed(parse: Any, words: list[str]) -> None:
    with pytest.raises(Exception, match=r"no option|no command"):
        parse(words)


def test_the_tutorials_method_and_its_test_pass(srkd: Srkd, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    code, test = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    assert srkd("method", "new", "mymethod")[0] == 0
    (tmp_path / "mymethod.py").write_text(code, encoding="utf-8")
    (tmp_path / "test_mymethod.py").write_text(test, encoding="utf-8")
    assert srkd("method", "check", "./mymethod.py")[0] == 0
    words = [sys.executable, "-m", "pytest", "-q", "test_mymethod.py", "-k", "edges or takes_a_step"]
    assert subprocess.run(words, cwd=tmp_path, capture_output=True, text=True).returncode == 0
    (tmp_path / "mymethod.py").write_text(
        code.replace("(step.student.sr)", "(step.student.sr.detach())"), encoding="utf-8"
    )
    status, text, _ = srkd("method", "check", "./mymethod.py")
    assert (status, "term 'edges' gives the student no gradient" in text) == (1, True)


def test_every_installed_method_has_a_complete_page() -> None:
    pages = pages_of_methods()
    assert set(pages) == {"methods/index.md"} | {f"methods/{name}.md" for name in registry.names()}
    ckd = pages["methods/ckd.md"]
    assert "[arXiv:2105.11683](https://arxiv.org/abs/2105.11683)" in ckd
    assert "| `weight` | `0.25` | number from 0 to 1,000,000 |" in ckd
    assert "| `form` | `A` | `A` or `B` |" in ckd
    assert "## Deviations\n\n- Distances are mean squared errors of pixels" in ckd
    assert ckd.partition("## Readings")[2].partition("##")[0].count("\n- ") == 2
    assert (
        "## Default\n\n- 0.25, by its gradient share (`srkd ls methods --measure`): 0.43, 0.35 and 0.61 on the demo"
        in ckd
    )
    assert "| Smallest batch | 2 |" in ckd
    assert "`ckd`" in pages["methods/index.md"]


@pytest.mark.parametrize("name", registry.names())
def test_a_methods_page_has_its_loss_as_mathml_and_a_figure_of_what_it_reads(name: str) -> None:
    page = pages_of_methods()[f"methods/{name}.md"]
    formulas = re.findall(r'<div class="formula">(.*)</div>', page)
    figure = re.search(r'<div class="reads">(.*)</div>', page)
    assert formulas
    assert all(ElementTree.fromstring(one).tag.endswith("}math") for one in formulas)
    assert figure is not None
    assert ElementTree.fromstring(figure[1]).get("role") == "img"
    method = registry.find(name)
    assert ("Teacher" in figure[1]) == method.looks
    assert ("adapter" in figure[1]) == (method.adapter is not Method.adapter and name not in ("dckd", "dml"))


def test_a_figure_shows_the_inputs_of_the_loss_and_of_the_adapter() -> None:
    read = [(one.owner, one.lines, one.adapted) for one in method_figures.columns(registry.find("crosskd"))]
    assert read == [
        ("HR", ("HR",), False),
        ("Student", ("SR",), False),
        ("Student", ("features", "1"), True),
        ("Teacher", ("layers",), True),
        ("Teacher", ("SR",), False),
    ]
    assert method_figures.columns(registry.find("dml"))[-1].owner == "Peer"
    assert method_figures.columns(registry.find("byot"))[-1].lines == ("features", "¼ ½ ¾")


def test_the_cost_of_a_step_is_counted() -> None:
    none, hkd, fitnet, augkd = (
        method_costs.cost(registry.build(name, {})) for name in ("none", "hkd", "fitnet", "augkd")
    )
    student, pixels = method_costs.STUDENT, method_costs.TRAIN.batch * method_costs.TRAIN.patch**2
    # Forward pass and both gradients; none of the image.
    assert none.multiply_adds == (3 * student.multiply_adds - 9 * 3 * student.n_feats) * pixels
    assert hkd.multiply_adds - none.multiply_adds == method_costs.TEACHER.multiply_adds * pixels
    assert (hkd.weights, fitnet.weights) == (0, 16 * 64 + 64)
    assert (hkd.other_images, augkd.other_images) == (False, True)


def test_published_and_measured_gains_are_those_of_the_tables() -> None:
    study, *others = method_results.published("hkd")
    assert study[1:] == ("+0.020", "−0.047", "+0.032", "+0.077")
    assert [row[1:] for row in others if "RCAN, x2" in row[0]] == [("+0.04", "+0.05", "+0.03", "+0.04")]
    assert list(method_results.published("none")) == []
    rows = {row[0]: row[1:] for row in method_results.measured("ckd")}
    one = next(
        one for one in differences(published("bsds"), "psnr_y") if (one.model, one.dataset) == ("ckd", None)
    )
    assert rows["`bsds`"] == (f"−{-one.mean:.3f} [−{-one.low:.3f}, −{-one.high:.3f}]", "0.022", "worse", "6")


def test_a_docstring_is_parsed() -> None:
    class Said(composition.Composition):
        """What it does.

        In two paragraphs.

        Deviation: one thing
        and more of it.
        Deviation: another. A word: not a label.

        Once more.

        Args:
            weight: of the loss,
                not of the network.
        """

    said, labelled, arguments = method_pages.described(Said)
    assert said.split("\n\n") == ["What it does.", "In two paragraphs.", "Once more."]
    assert labelled == {"Deviation": ["one thing and more of it.", "another. A word: not a label."]}
    assert arguments == {"weight": "of the loss, not of the network."}


def test_every_command_has_a_page_with_its_options_and_the_exit_codes_are_those_of_the_errors() -> None:
    pages = commands.pages()
    known: Any = typer.main.get_command(app)
    assert set(pages) == {"commands/index.md"} | {f"commands/{name}.md" for name in known.commands}
    for name, command in known.commands.items():
        page = pages[f"commands/{name}.md"]
        for one in [command, *getattr(command, "commands", {}).values()]:
            shown = [option for option in one.params if not option.hidden]
            options = [word for option in shown for word in option.opts if word.startswith("-")]
            assert all(re.search(rf"(?<![\w-]){option}(?![\w-])", page) for option in options)
    assert (
        "`--scale N`\n:   Upscaling factor of bicubic, --sr-dir or a class. Default: 2. *2<=x<=4*"
        in pages["commands/evaluate.md"]
    )
    assert set(commands.exit_codes()) == {0, 1, 2, 3, 4, 5, 6, 75, 130}
    assert "..." not in pages["commands/store.md"].replace("]...", "")
    assert "| 3 | Data or an artifact is missing. |" in pages["commands/index.md"]


@pytest.mark.parametrize("spec", [spec for _, spec in suites.SECTIONS.values()])
def test_every_key_of_a_suite_is_explained_with_an_example_that_is_valid(spec: type[Spec]) -> None:
    filled_in = {"source", "counts"}  # by srkd
    page = suites.pages()[suites.PATH]
    for name, field in spec.model_fields.items():
        if name in filled_in:
            continue
        assert suites.meanings(spec)[name].replace("|", "\\|") in page
        for example in field.examples or pytest.fail(f"{name} has no example"):
            TypeAdapter(suites.hint(field)).validate_python(example)


def test_a_key_of_a_suite_is_shown_with_its_values_and_default() -> None:
    page = suites.pages()[suites.PATH]
    assert "| `train.batch` | whole number from 1 to 4,096 | `8` | Patches per step. | `16` |" in page
    assert "| `train.loss` | `mse` or `l1` | `mse` |" in page
    assert "| `student` | mapping | *required* |" in page
    assert "| `teacher.blocks` | text or list: text | `[]` |" in page
    assert "| `data.validation` | text | `–` |" in page


def test_the_example_of_a_suite_file_is_valid(tmp_path: Path) -> None:
    (code,) = re.findall(r"^```yaml\n(.*?)^```$", suites.INTRODUCTION, re.M | re.S)
    (tmp_path / "my-study.yaml").write_text(code, encoding="utf-8")
    assert load_suite(str(tmp_path / "my-study.yaml")).name == "my-study"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


def test_links_of_the_readme_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for address in readme.LINK.findall(text):
        path, _, anchor = address.partition("#")
        if not urlsplit(address).scheme:
            assert (ROOT / path).is_file(), address
            assert not anchor or anchor in anchors(ROOT / path), address


def test_the_citation_names_this_version() -> None:
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def anchors(path: Path) -> set[str]:
    """Return the anchors of a Markdown file's headings."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_a_package_index_gets_a_readme_with_absolute_addresses() -> None:
    text = readme.absolute(
        (ROOT / "README.md").read_text(encoding="utf-8"), "https://example.org/lab/srkd", "v1"
    )
    addresses = readme.LINK.findall(text)
    assert len(addresses) > 10
    assert all(address.startswith("https://") for address in addresses)
    assert "(https://example.org/lab/srkd/raw/v1/docs/report.png)" in text
    assert "(https://example.org/lab/srkd/blob/v1/docs/tutorial.md)" in text


class Page(HTMLParser):
    """The resources and links of a page of the site."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "srcset", "data", "poster", "action") or (name == "href" and tag == "link"):
                self.loads.append(value or "")
            elif name == "href":
                self.links.append(value or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site with warnings as errors: broken links and anchors, pages without links to them."""
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(words, cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_has_every_page_and_loads_nothing_from_elsewhere(site: Path) -> None:
    for path in [*method_pages.pages(), *commands.pages(), *suites.pages(), *map(str, PAGES)]:
        assert (site / path).with_suffix(".html").is_file()
    for file in site.rglob("*.html"):
        loads = Page(file).loads
        assert len(loads) > 3
        for address in loads:
            assert urlsplit(address)[:2] == ("", ""), f"{file.name} loads {address}"
            where = site if file.name == "404.html" else file.parent
            assert (where / unquote(urlsplit(address).path).lstrip("/")).exists(), f"{file}: {address}"
    for file in site.rglob("*.css"):
        assert not re.search(r"""url\(["']?(https?:)?//|@import""", file.read_text(encoding="utf-8"))


def test_links_between_pages_lead_somewhere(site: Path) -> None:
    for file in site.rglob("*.html"):
        for address in Page(file).links:
            link = urlsplit(address)
            if not link.scheme and file.name != "404.html":
                assert not link.path or (file.parent / unquote(link.path)).exists(), f"{file.name}: {address}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Yield a browser where there is one."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    from tests.report.page.test_page_browser import ARGUMENTS, CHROMIUM

    with driver.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


def test_pages_from_the_disk_ask_for_files_alone_and_can_be_searched(site: Path, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 900})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).scheme))
    page.goto((site / "methods" / "ckd.html").as_uri() + "?q=contrastive")
    page.locator(".md-search-result__link").first.wait_for()
    assert "methods/ckd.html" in page.locator(".md-search-result__link").evaluate_all("all => all.join()")
    assert set(asked) <= {"file", "data", "about", "blob"}
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("width", [390, 820, 1280])
def test_no_page_is_wider_than_the_screen(site: Path, browser: Any, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    for name in ("index.html", "results.html", "reference/suite.html", "commands/report.html"):
        page.goto((site / name).as_uri())
        page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") == width, name
    page.close()


def test_results_and_faq_are_visible_from_a_command_page(site: Path, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto((site / "commands" / "run.html").as_uri())
    for title in ("Results", "FAQ"):
        box = page.locator(".md-tabs__link", has_text=title).bounding_box()
        assert 0 <= box["y"] <= 800 - box["height"]
    page.close()
