"""Import a network class by its dotted name if its code is trusted.

An untrusted suite may come with a Python file beside it, and Python searches the working directory in several
cases: `python -m`, torchrun, an empty entry of PYTHONPATH. So a module may run only if its file, and those of its
packages, come from an installed package (also an editable one) or a folder in PYTHONPATH.
"""

import hashlib
import importlib
import inspect
import os
import pkgutil
import site
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from srkd_bench.core.errors import MissingError, SrkdError, install_hint

if TYPE_CHECKING:
    from torch import nn


def find(arch: str) -> "tuple[type[nn.Module], Path]":
    """Return a class by its dotted name, and its file.

    Raises:
        SrkdError: no such module or class, it is not a network, or its code is not trusted.
    """
    from torch import nn

    module, _, name = arch.partition(":")
    _check_trusted(module)
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        raise MissingError(f"no module '{error.name}' for {arch}", _where_from(module)) from None
    if found is None:
        raise SrkdError(f"module '{module}' has no class '{name}'")
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise SrkdError(f"{arch} is not a network", "it must be a class that inherits torch.nn.Module")
    file = inspect.getsourcefile(found)
    if file is None:
        raise SrkdError(f"{arch} has no source file, which is needed to identify its runs")
    return found, Path(file)


def trusted() -> bool:
    """Return whether the user trusts the code that suites name: `srkd --trust`, or SRKD_TRUST=1."""
    return os.environ.get("SRKD_TRUST") == "1"


def is_installed(module: str) -> bool:
    """Return whether importing a module runs code of installed packages only, not of the working directory."""
    files = _files(module, [place for place in sys.path if _is_chosen(place)])
    return files is not None and files == _files(module, sys.path)


def module_file(module: str) -> Path | None:
    """Return the file of a module without importing its packages; None if there is none."""
    file = (_files(module, sys.path) or [""])[-1]
    return Path(file) if file.endswith(".py") else None


def source_of(path: Path) -> str:
    """Return the sha256 of a class's file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_trusted(module: str) -> None:
    """Reject a module of the working directory unless the user trusts its code."""
    if module in sys.modules or is_installed(module):
        return
    here = str(Path.cwd())
    if _files(module, [*sys.path, here]) is None:
        raise MissingError(f"no module '{module}'", _where_from(module))
    if not trusted():
        raise SrkdError(
            f"'{module}' is code in this folder, and naming it runs it",
            "srkd --trust … (or SRKD_TRUST=1) lets it run, if you know who wrote it",
        )
    if here not in sys.path:
        sys.path.append(here)
    importlib.invalidate_caches()


def _where_from(module: str) -> str:
    """Return how to get a missing module."""
    if module.split(".")[0] == "spandrel":
        return f"to install it: {install_hint('spandrel')}"
    return "is it installed, or in this folder?"


def _files(module: str, places: Sequence[str]) -> list[str] | None:
    """Return the files that importing a module runs, its packages first; None if there is no such module.

    Nothing is imported, and packages that are already imported are searched again.

    Args:
        places: folders to search, as in `sys.path`.
    """
    importlib.invalidate_caches()
    files: list[str] = []
    words, path = module.split("."), None
    for end in range(1, len(words) + 1):
        spec = _spec(".".join(words[:end]), path, places)
        if spec is None:
            return None
        files += [str(Path(spec.origin).resolve())] if spec.origin else []
        path = list(spec.submodule_search_locations or [])
    return files


def _spec(name: str, path: Sequence[str] | None, places: Sequence[str]) -> ModuleSpec | None:
    """Return the module spec that Python would import for a full name.

    Args:
        path: of its package; None for a name without one.
    """
    for finder in sys.meta_path:
        if finder is PathFinder:
            spec = _spec_in(name, places if path is None else path)
        else:
            spec = finder.find_spec(name, path)
        if spec is not None:
            return spec
    return None


def _spec_in(name: str, places: Iterable[str]) -> ModuleSpec | None:
    """Find a module in the given folders, or a namespace package spread over several of them.

    Python's own search would use the packages that are already imported.
    """
    portions: list[str] = []
    for place in places:
        finder = pkgutil.get_importer(place or str(Path.cwd()))
        spec = finder.find_spec(name, None) if finder is not None else None
        if spec is not None and spec.loader is not None:
            return spec
        portions += (spec and spec.submodule_search_locations) or []
    if not portions:
        return None
    package = ModuleSpec(name, None, is_package=True)
    package.submodule_search_locations = portions
    return package


def _is_chosen(place: str) -> bool:
    """Return whether the user chose a folder of `sys.path`: the working directory only by its full path."""
    relative = [
        one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if not Path(one).is_absolute()
    ]
    changing = {Path(one).resolve() for one in ("", *relative)}
    return Path(place).resolve() not in changing or Path(place).resolve() in set(_named_in_full())


def _named_in_full() -> Iterator[Path]:
    """Return the folders in PYTHONPATH and in the `.pth` files of installed packages."""
    for one in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        if Path(one).is_absolute():
            yield Path(one).resolve()
    for folder in map(Path, [*site.getsitepackages(), site.getusersitepackages()]):
        yield folder.resolve()
        for file in folder.glob("*.pth"):
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
                if line.strip() and not line.startswith(("#", "import ", "import\t")):
                    yield (folder / line.strip()).resolve()
