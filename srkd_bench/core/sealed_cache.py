"""A cache file that is used only if it is intact and written by the same code."""

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from srkd_bench.core.errors import SrkdError
from srkd_bench.core.files import put

Content = TypeVar("Content", bound=BaseModel)


class SealedCache(Generic[Content]):
    """A JSON file below a line with its seal: the sha256 of the code that derived the values, and of the values.

    Args:
        kind: type of the content; called without arguments it gives the empty content.
        code: digest of the source code that derives the values, see `code_digest`.
        readonly: `write` does nothing.
    """

    def __init__(self, path: Path, kind: type[Content], code: str, *, readonly: bool = False) -> None:
        self.path, self.kind, self.code, self.readonly = path, kind, code, readonly

    def read(self) -> Content:
        """Return the content; empty if the file is missing, damaged or written by other code."""
        try:
            seal, text = self.path.read_text(encoding="utf-8").split("\n", 1)
            return self.kind.model_validate_json(text) if seal == self._seal(text) else self.kind()
        except (OSError, ValueError, ValidationError):
            return self.kind()

    def write(self, content: Content) -> None:
        """Replace the content. A missing or read-only folder is no error."""
        if self.readonly or not self.path.parent.is_dir():
            return
        text = content.model_dump_json()
        with suppress(SrkdError):
            put(self.path, f"{self._seal(text)}\n{text}")

    def _seal(self, text: str) -> str:
        return hashlib.sha256(f"{self.code}\n{text}".encode()).hexdigest()


def code_digest(files: Iterable[Path]) -> str:
    """Return the sha256 of the names and contents of source files."""
    text = "".join(f"{path.name}\n{path.read_text(encoding='utf-8')}\n" for path in files)
    return hashlib.sha256(text.encode()).hexdigest()
