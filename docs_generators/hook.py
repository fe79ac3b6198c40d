"""What mkdocs calls: it puts the made pages among the written ones."""

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from docs_generators import commands, methods

MADE = {"Methods": methods.pages(), "Commands": commands.pages()}


def on_config(config: MkDocsConfig) -> None:
    """Fill the sections of the navigation that are made; mkdocs.yml says where they stand."""
    config.nav = [
        {title: list(MADE[title])} if (title := str(entry)) in MADE else entry for entry in config.nav or []
    ]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the made pages."""
    for pages in MADE.values():
        for path, text in pages.items():
            files.append(File.generated(config, path, content=text))
