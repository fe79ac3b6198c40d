"""`srkd download`: download or import data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srkd_bench.cli import completion
from srkd_bench.cli.options import Home, Json
from srkd_bench.cli.output import err, print_json, print_rows
from srkd_bench.cli.session import open_store

if TYPE_CHECKING:
    from srkd_bench.core.progress import Display
    from srkd_bench.store.artifact_store import ArtifactStore


def download(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME…", autocompletion=completion.datasets, help="Data sets (`srkd ls datasets`)."
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR|ARCHIVE", help="Import a local copy. LR images are ignored."),
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the data sets and their state.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace data sets that are present.")] = False,
    home: Home = None,
    json_: Json = False,
) -> None:
    """Download data sets, or import a local copy. Without NAME, list them."""
    from srkd_bench.core.progress import Display
    from srkd_bench.data.catalog import find
    from srkd_bench.experiments.analysis.listing import datasets

    store = open_store(home)
    if listing or not names:
        print_rows("datasets", datasets(store), json_)
        return
    for name in names:
        find(name)
    digests = {name: _pack(name, source, store, Display(err), force=force) for name in names}
    if json_:
        rows = [{"name": name, "pixels": pixels} for name, pixels in digests.items()]
        print_json({"schema": 1, "datasets": rows})


def _pack(name: str, source: Path | None, store: ArtifactStore, display: Display, *, force: bool) -> str:
    """Return the digest of a data set's pixels, after packing it if need be."""
    from srkd_bench.data import ingest
    from srkd_bench.data.catalog import find
    from srkd_bench.data.image_set import packed

    here = None if force else packed(store, name)
    if here is not None and source is None:
        display.say(f"{name} is present")
        return here
    pixels = ingest.adopt(store, name, source, display) if source else ingest.download(store, name, display)
    alike = ingest.is_known_copy(store, name)
    known = "" if alike else "; its pixels differ from those of the published results"
    display.say(f"{name}: {find(name).count} images packed{known}")
    return pixels
