"""Print README.md with absolute addresses, for package indexes, which host neither images nor pages.

`python -m docs_generators.readme https://HOST/OWNER/REPOSITORY TAG > README.md` is a step of the release workflow.
"""

import re
import sys
from pathlib import Path

LINK = re.compile(r"\]\(([^)\s]+)\)")
IMAGES = (".png", ".svg")


def absolute(text: str, repository: str, version: str) -> str:
    """Return Markdown with links to a version of the repository instead of relative ones."""

    def address(match: re.Match[str]) -> str:
        path = match[1]
        if "://" in path:
            return match[0]
        kind = "raw" if path.endswith(IMAGES) else "blob"
        return f"]({repository}/{kind}/{version}/{path})"

    return LINK.sub(address, text)


if __name__ == "__main__":
    sys.stdout.write(absolute(Path("README.md").read_text(encoding="utf-8"), *sys.argv[1:3]))
