"""Create a method and its test from a template."""

from importlib.util import find_spec
from pathlib import Path

from srkd_bench.core.errors import SrkdError
from srkd_bench.methods.sources import check_name

TEMPLATES = Path(__file__).parent / "templates"


def write(name: str, folder: Path = Path()) -> list[Path]:
    """Write a method and its test, and return their paths.

    Raises:
        SrkdError: an invalid name, a name that hides a module, or the file exists.
    """
    check_name(name, f"srkd method new {name}")
    files = {folder / f"{name}.py": "method.py.txt", folder / f"test_{name}.py": "test.py.txt"}
    for path in files:
        if path.exists():
            raise SrkdError(f"'{path}' already exists", "choose another name, or move it away")
    if name.startswith("test_") or find_spec(name) is not None:
        raise SrkdError(
            f"'{name}' is the name of an existing Python module, which it would hide", "choose another name"
        )
    try:
        for path, template in files.items():
            text = (TEMPLATES / template).read_text(encoding="utf-8")
            class_name = "".join(word.capitalize() for word in name.split("_"))
            text = text.replace("MyMethod", class_name).replace("mymethod", name)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SrkdError(f"cannot write '{path}': {error.strerror}") from None
    return list(files)
