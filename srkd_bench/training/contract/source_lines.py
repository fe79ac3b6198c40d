"""Find the line of a method's file that an error refers to."""

import ast
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Files:
    """The files of a method, or of the parts of a composition."""

    paths: tuple[str, ...]

    def of_error(self, error: BaseException) -> str:
        """Return the last place in these files in an error's traceback."""
        return self.of_frames(traceback.extract_tb(error.__traceback__))

    def of_frames(self, frames: traceback.StackSummary) -> str:
        """Return the last place in these files in a stack."""
        found = [(one.filename, one.lineno) for one in frames if one.filename in self.paths]
        return _place(found[-1]) if found else ""

    def of_term(self, term: str) -> str:
        """Return the place where a loss term is named: a key of a dictionary, or any mention."""
        term, words, keys = term.rpartition(".")[2], list[tuple[str, int]](), list[tuple[str, int]]()
        for path, node in self._nodes():
            for found, nodes in ((words, [node]), (keys, node.keys if isinstance(node, ast.Dict) else [])):
                same = (one for one in nodes if isinstance(one, ast.Constant) and one.value == term)
                found += [(path, one.lineno) for one in same]
        return _place((keys or words)[-1]) if words else self.of_function("losses")

    def of_function(self, name: str, word: str = "") -> str:
        """Return the place where a function uses a name, or the function's first line.

        Uses of the name as an argument or as a target come before attribute accesses and calls; assertions are
        ignored.
        """
        begins = given = taken = None
        for path, node in self._nodes():
            if not (isinstance(node, ast.FunctionDef) and node.name == name):
                continue
            begins = begins or (path, node.lineno)
            for statement in (one for one in ast.walk(node) if isinstance(one, ast.stmt)):
                if isinstance(statement, ast.Assert | ast.FunctionDef):
                    continue
                targets = getattr(statement, "targets", [])
                lent = any(isinstance(target, ast.Attribute | ast.Subscript) for target in targets)
                values = [getattr(statement, "value", None)] if lent else []
                values += [target.value for target in targets if isinstance(target, ast.Attribute)]
                if any(isinstance(value, ast.Name) and value.id == word for value in values):
                    return _place((path, statement.lineno))
                used = {id(one.func) for one in ast.walk(statement) if isinstance(one, ast.Call)}
                used |= {id(one.value) for one in ast.walk(statement) if isinstance(one, ast.Attribute)}
                for one in ast.walk(statement):
                    if isinstance(one, ast.Name) and one.id == word:
                        place = (path, one.lineno)
                        given, taken = (given, taken or place) if id(one) in used else (given or place, taken)
        found = given or taken or begins
        return _place(found) if found else ""

    def of_attribute(self, name: str) -> str:
        """Return the place where a class annotates an attribute."""
        annotated = ((path, node) for path, node in self._nodes() if isinstance(node, ast.AnnAssign))
        for path, node in annotated:
            if isinstance(node.target, ast.Name) and node.target.id == name:
                return _place((path, node.lineno))
        return ""

    def _nodes(self) -> Iterator[tuple[str, ast.AST]]:
        for path in self.paths:
            for node in ast.walk(ast.parse(Path(path).read_bytes())):
                yield path, node


def _place(found: tuple[str, int | None]) -> str:
    path, line = found
    lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    text = lines[line - 1].strip() if line and line <= len(lines) else ""
    return f"{Path(path).name}, line {line}: {text}"
