"""`srkd download`: download or import data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srkd_bench.cli import completion
from srkd_bench.cli.options import Home, Json, refuse
from srkd_bench.cli.output import print_json, print_rows
from srkd_bench.cli.session import open_store
from srkd_bench.core.errors import SrkdError

if TYPE_CHECKING:
    from srkd_bench.core.progress import Display
    from srkd_bench.data.packs import Packed
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
        typer.Option(
            "--from",
            metavar="DIR|ARCHIVE",
            help="Import a local copy, or your own images. LR images are ignored.",
        ),
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the data sets and their state.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace existing data sets.")] = False,
    home: Home = None,
    json_: Json = False,
) -> None:
    """Download data sets, or import local copies or own images.

    Without NAME, the data sets are listed. With --from, NAME may be new: all HR images of the folder are then
    registered under it, for suites and `srkd evaluate --datasets NAME`.
    """
    from srkd_bench.data.image_set import spec_of
    from srkd_bench.experiments.analysis.listing import datasets

    if listing:
        refuse("--list", {"NAME": names})
    elif not names and (source or force):
        raise SrkdError(
            f"{'--from' if source else '--force'} needs the NAME of a data set",
            "srkd download NAME --from DIR",
        )
    store, display = open_store(home)
    if listing or not names:
        print_rows("datasets", datasets(store), json_)
        return
    for name in names if source is None else []:
        spec_of(store, name)
    found = [_pack(name, source, store, display, force=force) for name in names]
    if json_:
        rows = [packed._asdict() for packed in found]
        print_json({"schema": 1, "datasets": rows})


def _pack(name: str, source: Path | None, store: ArtifactStore, display: Display, *, force: bool) -> Packed:
    """Return a data set's name and the digest of its pixels, after packing it if needed."""
    from srkd_bench.data import ingest
    from srkd_bench.data.folders import stamp_of
    from srkd_bench.data.image_set import packed, spec_of
    from srkd_bench.data.packs import Packed

    if source is not None:
        stamp = stamp_of(source) if source.is_dir() else ""
        made = ingest.adopt(store, name, source, display, stamp=stamp, replace=force)
    elif (here := packed(store, name)) is not None and not force:
        display.say(f"{name} is already available")
        return Packed(name, here)
    elif spec_of(store, name).role == "own":
        raise SrkdError(f"'{name}' was imported from a folder", f"srkd download {name} --from DIR --force")
    else:
        made = ingest.download(store, name, display)
    notice = ingest.described(made, name)
    count = spec_of(store, made.name).count
    display.say(f"{made.name}: {count} image{'s' * (count != 1)} packed{notice and f'; {notice}'}")
    return made
