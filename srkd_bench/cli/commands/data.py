"""`srkd download`: fetch or import data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from srkd_bench.cli.options import (
    Home,
    Json,
    Offline,
)
from srkd_bench.cli.output import (
    err,
    print_datasets,
    print_json,
)
from srkd_bench.cli.session import open_store


def download(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME…", help="Data sets, see `srkd ls datasets`.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="DIR|ARCHIVE", help="Adopt images that you have; LR ones are ignored."
        ),
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="Show what is here.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Take it again, even if it is here.")] = False,
    home: Home = None,
    offline: Offline = False,
    json_: Json = False,
) -> None:
    """Fetch data sets, or adopt what you have, and pack their images."""
    from srkd_bench.core.progress import Display
    from srkd_bench.data import catalog, image_set, ingest

    store, display = open_store(home), Display(err)
    if listing or not names:
        print_datasets(store, json_)
        return
    for name in names:
        catalog.find(name)
    digests = {}
    for name in names:
        here = None if replace else image_set.packed(store, name)
        if here is not None and source is None:
            display.say(f"{name} is here")
            digests[name] = here
            continue
        digests[name] = (
            ingest.adopt(store, name, source, display) if source else ingest.download(store, name, display)
        )
        alike = ingest.is_known_copy(store, name)
        known = "" if alike else "; its pixels differ from those that srkd's own numbers are of"
        display.say(f"{name}: {catalog.find(name).count} images packed{known}")
    if json_:
        print_json(
            {"schema": 1, "datasets": [{"name": name, "pixels": pixels} for name, pixels in digests.items()]}
        )
