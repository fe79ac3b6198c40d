"""Locate the suites that come with srkd. Imports nothing, for shell completion."""

from pathlib import Path


def suite_files() -> dict[str, Path]:
    """Return the suites that come with srkd, by name."""
    package = Path(__file__).parent.parent
    folder = package / "suites" if (package / "suites").is_dir() else package.parent / "suites"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
