"""Shell completion of suites, methods, data sets, run ids, formats, devices, metrics. Imports nothing heavy."""

import json
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import typer

Completion = Callable[[typer.Context, str], list[str]]
REPORT_FORMATS = ("terminal", "markdown", "latex", "html", "csv", "json")
ID_DIGITS = 12
MOST_RUNS = 200
"""Runs whose manifests are read for one completion."""


def suites(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a suite, or of a YAML file."""
    from srkd_bench.config.suite_names import suite_files

    return _matching([*suite_files(), *_files(incomplete, (".yaml", ".yml"))], incomplete)


def suite_lists(context: typer.Context, incomplete: str) -> list[str]:
    """Complete suites in a list `a,b`."""
    return _after_the_last(",", incomplete, lambda part: suites(context, part))


def methods(context: typer.Context, incomplete: str) -> list[str]:
    """Complete methods: names, Python files, combinations `a+b`, lists `a,b`, and `none` with more steps."""
    from srkd_bench.evaluation.controls import EQUAL_COST
    from srkd_bench.methods import sources

    known = ["all", *sorted(sources.builtin()), "none@2x", EQUAL_COST, *sorted(sources.installed())]
    return _after_the_last(",+", incomplete, lambda part: [*known, *_files(part, (".py",))])


def datasets(context: typer.Context, incomplete: str) -> list[str]:
    """Complete data sets and folders of images, also in a list `a,b`."""
    from srkd_bench.data.catalog import DATASETS

    return _after_the_last(",", incomplete, lambda part: [*DATASETS, *_files(part, ())])


def devices(context: typer.Context, incomplete: str) -> list[str]:
    """Complete devices, also in a list `a,b`. GPUs are counted without CUDA."""
    count = len([*Path("/proc/driver/nvidia/gpus").glob("*")])
    known = ["auto", "cpu", "cuda", *(f"cuda:{index}" for index in range(count)), "mps", "xpu", "all"]
    return _after_the_last(",", incomplete, lambda part: known)


def formats(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the format of a report."""
    return _matching(REPORT_FORMATS, incomplete)


def settings(context: typer.Context, incomplete: str) -> list[str]:
    """Complete KEY=VALUE where the values are names: methods, data sets, metrics."""
    from srkd_bench.config.metrics import METRICS

    known: dict[str, Completion] = {
        "methods=[": methods,
        "data.train=": datasets,
        "data.validation=": datasets,
        "data.test=[": datasets,
        "evaluate.metrics=[": lambda context, part: _after_the_last(",", part, lambda last: METRICS),
    }
    for key, complete in known.items():
        if incomplete.startswith(key):
            return [key + one for one in complete(context, incomplete.removeprefix(key))]
    return _matching(known, incomplete)


def runs(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Complete the id of a run in the store; method and seed explain it."""
    import platformdirs

    if not re.fullmatch("[0-9a-f]*", incomplete):
        return []
    home = context.params.get("home") or os.environ.get("SRKD_HOME")
    folder = Path(home or platformdirs.user_cache_dir("srkd", appauthor=False)).expanduser() / "runs"
    found = []
    for path in sorted(folder.glob(f"{incomplete}*/artifact.json"))[:MOST_RUNS]:
        try:
            key = json.loads(path.read_text(encoding="utf-8"))["key"]
            found.append((path.parent.name[:ID_DIGITS], f"{key['method']}, seed {key['seed']}"))
        except (OSError, ValueError, LookupError, TypeError):
            continue  # a damaged run is not offered
    return found


def suites_and_runs(context: typer.Context, incomplete: str) -> list[Any]:
    """Complete the name of a suite or the id of a run."""
    return [*suites(context, incomplete), *runs(context, incomplete)]


def methods_and_runs(context: typer.Context, incomplete: str) -> list[Any]:
    """Complete what `srkd compare` takes: a suite, methods or runs, or score files."""
    return [
        *methods(context, incomplete),
        *suites_and_runs(context, incomplete),
        *_files(incomplete, (".csv", ".csv.gz")),
    ]


def _matching(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _after_the_last(separators: str, incomplete: str, known: Callable[[str], Iterable[str]]) -> list[str]:
    """Complete the last part of a list with a name that the list does not contain yet."""
    start = max(incomplete.rfind(one) for one in separators) + 1
    before, part = incomplete[:start], incomplete[start:]
    listed = re.split(f"[{separators}]", before)
    return [before + name for name in _matching(known(part), part) if name not in listed]


def _files(incomplete: str, suffixes: tuple[str, ...]) -> list[str]:
    """Return the files and folders with this prefix, as typed."""
    folder, slash, name = incomplete.rpartition("/")
    place = Path(folder + slash)
    if not place.is_dir() or folder.startswith("~"):  # zsh would quote the tilde
        return []
    found = sorted(path for path in place.iterdir() if path.name.startswith(name))
    return [
        f"{folder}{slash}{path.name}{'/' * path.is_dir()}"
        for path in found
        if path.name.endswith(suffixes) or (slash and path.is_dir())
    ]
