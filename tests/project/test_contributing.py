"""CONTRIBUTING.md matches the package."""

import ast
import re

from docs_generators.tree import PACKAGE, PAGE, page

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_annotated_tree_matches_the_package() -> None:
    assert page() == TEXT, "run `python -m docs_generators.tree`"


def test_the_path_of_a_command_names_functions_that_exist() -> None:
    named = re.findall(r"`([a-z_/]+\.py):(\w+)`", TEXT)
    assert len(named) >= 15
    for path, name in named:
        tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
        assert name in {getattr(node, "name", "") for node in tree.body}, f"{path} has no {name}"


def test_files_and_tables_that_recipes_name_exist() -> None:
    root = PACKAGE.parent
    for path in re.findall(r"`((?:tests|docs|srkd_bench)/[\w/]+\.\w+)`", TEXT):
        assert "NAME" in path or (root / path).is_file(), path
    for table, path in re.findall(r"`([A-Z]{2,})` in\s+`([a-z_/]+\.py)`", TEXT):
        assert f"{table}" in (PACKAGE / path).read_text(encoding="utf-8"), table
