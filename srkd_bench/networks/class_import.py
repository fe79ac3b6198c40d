"""Import a network class by its dotted name where its code is trusted."""

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from pathlib import Path

from torch import nn

from srkd_bench.core.errors import MissingError, SrkdError


def find(arch: str) -> tuple[type[nn.Module], Path]:
    """Return a class by its dotted name, and the file that it is in.

    Raises:
        SrkdError: no such module or class, it is no network, or it lies where a stranger's may lie.
    """
    module, _, name = arch.partition(":")
    _allow(module)
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        raise MissingError(
            f"no module '{error.name}' for {arch}", "is it installed, or in this folder?"
        ) from None
    if found is None:
        raise SrkdError(f"module '{module}' has no class '{name}'")
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise SrkdError(f"{arch} is no network", "it must be a class that inherits torch.nn.Module")
    file = inspect.getsourcefile(found)
    if file is None:
        raise SrkdError(f"{arch} has no source file, by which its runs could be told apart")
    return found, Path(file)


def _allow(module: str) -> None:
    """Let a module of the working directory be imported, if the user says that its code may run.

    A suite from a stranger may lie beside a file of theirs. What is installed, or on PYTHONPATH, may be named.
    """
    top, here = module.partition(".")[0], Path.cwd()
    if top in sys.modules:
        return
    chosen = {Path(one).resolve() for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one}
    before = list(sys.path)
    sys.path[:] = [one for one in before if Path(one).resolve() != here.resolve() or here.resolve() in chosen]
    try:
        elsewhere = importlib.util.find_spec(top) is not None
    finally:
        sys.path[:] = before
    if elsewhere:
        return
    if not (here / f"{top}.py").is_file() and not (here / top).is_dir():
        raise MissingError(f"no module '{module}'", "is it installed, or in this folder?")
    if os.environ.get("SRKD_TRUST") != "1":
        raise SrkdError(
            f"'{module}' is code in this folder, and naming it runs it",
            "srkd --trust … (or SRKD_TRUST=1) lets it run, if you know who wrote it",
        )
    if str(here) not in sys.path:
        sys.path.append(str(here))
    importlib.invalidate_caches()


def source_of(path: Path) -> str:
    """Return the sha256 of a class's file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
