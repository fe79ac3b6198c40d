"""The hook of mkdocs: it adds the generated pages, and a link to the repository where its address is known."""

import os
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from docs_generators import commands, methods, suites

SECTIONS = {"Commands": commands.pages(), "Methods": methods.pages()}
PAGES = SECTIONS["Commands"] | SECTIONS["Methods"] | suites.pages()
REPOSITORY = "SRKD_REPOSITORY_URL"  # continuous integration knows the address


def on_config(config: MkDocsConfig) -> None:
    """Fill the generated sections of the navigation, which mkdocs.yml names."""
    config.nav = [_filled(entry) for entry in config.nav or []]
    if address := os.environ.get(REPOSITORY):
        config.nav.append({"Repository": address})


def _filled(entry: Any) -> Any:
    if isinstance(entry, dict):
        return {
            title: [_filled(one) for one in inner] if isinstance(inner, list) else inner
            for title, inner in entry.items()
        }
    return {entry: list(SECTIONS[entry])} if entry in SECTIONS else entry


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the generated pages."""
    for path, text in PAGES.items():
        files.append(File.generated(config, path, content=text))
