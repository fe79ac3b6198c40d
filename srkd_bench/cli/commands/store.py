"""`srkd store`: verify, clean, measure, export and import the artifact store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srkd_bench.cli import completion, lists
from srkd_bench.cli.options import Home, Json
from srkd_bench.cli.output import print_json, print_table
from srkd_bench.cli.registration import OldSuite, leading_suite
from srkd_bench.cli.session import open_store
from srkd_bench.core.errors import IntegrityError, MissingError, SrkdError, command_line

if TYPE_CHECKING:
    from srkd_bench.store.artifact_store import ArtifactStore
    from srkd_bench.store.gc import Waste


Repair = Annotated[
    bool, typer.Option("--repair", help="Delete corrupted artifacts, so that they are recreated.")
]
InBucket = Annotated[bool, typer.Option("--shared", help="Verify the shared store (SRKD_STORE) instead.")]


def verify(repair: Repair = False, shared: InBucket = False, home: Home = None, json_: Json = False) -> None:
    """Read every file of the store and report corrupted ones."""
    from srkd_bench.core.units import size
    from srkd_bench.store.verify import repair as repair_local
    from srkd_bench.store.verify import verify as verify_local
    from srkd_bench.store.verify_shared import repair_shared, shared_of, verify_shared

    store, display = open_store(home)
    where = shared_of(store).bucket.address if shared else str(store.home)
    found = verify_shared(store, display) if shared else verify_local(store, display)
    remove = repair_shared if shared else repair_local
    rows = []
    for fault in found.faults:
        gone = repair and remove(store, fault)
        rows.append({"path": _place(fault.path, store), "problem": fault.problem, "removed": gone})
        if not json_:
            end = f"; deleted: {_remedy(fault.path)}" if gone else ""
            end = "; not deleted: another process uses it" if repair and not gone else end
            print(f"{_place(fault.path, store)}: {fault.problem}{end}")
    unverified = [_place(path, store) for path in found.unverified]
    if json_:
        sums = {"files": found.files, "bytes": found.bytes}
        print_json({"schema": 1, **sums, "broken": rows, "unverified": unverified})
    else:
        for place in unverified:
            print(f"{place}: cannot be verified, because it has no checksum")
        print(f"{found.files:,} files, {size(found.bytes)} verified in {where}, {len(rows)} corrupted")
    if left := sum(not row["removed"] for row in rows):
        hint = "wait until the other process ends, or stop it" if repair else f"{command_line()} --repair"
        raise IntegrityError(f"{_are(left)} corrupted in {where}", hint)


def _place(path: Path, store: ArtifactStore) -> str:
    return str(path.relative_to(store.home))


def _are(count: int) -> str:
    return "1 item is" if count == 1 else f"{count} items are"


def push(home: Home = None, json_: Json = False) -> None:
    """Upload finished artifacts that the shared store (SRKD_STORE) lacks."""
    from srkd_bench.store import verify_shared

    store, display = open_store(home)
    shared = verify_shared.shared_of(store)
    places = verify_shared.unshared(store)
    for place in places:
        shared.mark(place)
    store.send()
    left = shared.unsent()
    if json_:
        print_json({"schema": 1, "sent": [one for one in places if one not in left], "left": left})
    else:
        display.say(f"{len(places) - len(left)} of {len(places)} uploaded to {shared.bucket.address}")
    if left:
        raise MissingError(f"{_are(len(left))} not uploaded yet", command_line())


Keep = Annotated[
    list[str] | None,
    typer.Option(
        "--keep",
        metavar="SUITE[,SUITE…]",
        callback=lists.suites,
        autocompletion=completion.suite_lists,
        help="Suites to keep: also delete everything that none of them needs; repeatable.",
    ),
]


def gc(
    keep: Keep = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete. Without this option, only list what would be deleted.")
    ] = False,
    home: Home = None,
    json_: Json = False,
) -> None:
    """List or delete artifacts that are not needed.

    Lists leftovers of killed processes and, with --keep, everything that no kept suite needs. --yes deletes them.
    """
    from srkd_bench.config.suite_file import load_grid
    from srkd_bench.experiments.planning.requirements import unneeded
    from srkd_bench.store.gc import leftovers, remove, remove_locks, unused_locks
    from srkd_bench.store.layout import MANIFEST

    store, display = open_store(home)
    suites = [cell.suite for name in keep or [] for cell in load_grid(name).cells]
    waste = unneeded(store, suites, display) if suites else leftovers(store)
    gone = [one for one in waste if remove(store, one)] if yes else waste
    locks = remove_locks(store) if yes else len(unused_locks(store))
    _print_waste(gone, store, locks, found=len(waste), removed=yes, json_=json_)
    if json_:
        return
    if len(gone) < len(waste):
        display.say(f"{len(waste) - len(gone)} not deleted: another process uses them")
    runs = len(list((store.home / "runs").glob(f"*/{MANIFEST}")))
    if not suites and runs:
        display.say(
            f"{runs} finished run{'s are' if runs > 1 else ' is'} kept;"
            " --keep SUITE includes those that SUITE does not need"
        )
    if locks and yes:
        display.say(f"{locks} unused lock file{'s' * (locks != 1)} deleted")
    if waste and not yes:
        display.say(f"Nothing was deleted; to delete the listed items: {command_line()} --yes")


def _print_waste(
    gone: list[Waste], store: ArtifactStore, locks: int, *, found: int, removed: bool, json_: bool
) -> None:
    from srkd_bench.core.units import size

    rows = [(_place(one.path, store), one.what, one.bytes) for one in gone]
    total = sum(one.bytes for one in gone)
    if json_:
        things = [dict(zip(("path", "what", "bytes"), row, strict=True)) for row in rows]
        print_json({"schema": 1, "removed": removed, "things": things, "bytes": total, "locks": locks})
        return
    for path, what, held in rows:
        print(f"{size(held):>7}  {path:<27}  {what}")
    count = f"{len(rows)} item{'s' * (len(rows) != 1)}, {size(total)}"
    print("nothing to delete" if not found else f"{count} deleted" if removed else f"{count} can be deleted")


def du(home: Home = None, json_: Json = False) -> None:
    """Show the disk space that the store uses, and the free space."""
    from srkd_bench.core.files import free
    from srkd_bench.core.units import size
    from srkd_bench.store.gc import usage

    store, _ = open_store(home)
    rows, left = usage(store), free(store.home)
    total = sum(count for _, _, count in rows)
    if json_:
        places = [{"what": what, "count": count, "bytes": held} for what, count, held in rows]
        print_json({"schema": 1, "store": str(store.home), "places": places, "bytes": total, "free": left})
        return
    shown = [{"what": what, "count": f"{count:,}", "size": size(held)} for what, count, held in rows]
    print_table([*shown, {"what": "total", "count": "", "size": size(total)}])
    print(f"{size(left)} free on the disk of {store.home}")


def export(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.tar", help="File to write.")],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SUITE] [RUN]…",
            autocompletion=completion.suites_and_runs,
            help="A suite, all of whose finished runs are exported, and prefixes of ids of further runs.",
        ),
    ] = None,
    old_suite: OldSuite = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    no_labels: Annotated[
        bool, typer.Option("--no-labels", help="Leave out the suite's teacher labels, which are large.")
    ] = False,
    home: Home = None,
    json_: Json = False,
) -> None:
    """Export finished runs and their scores to a file for `srkd store import`."""
    from srkd_bench.config.suite_file import load_grid
    from srkd_bench.core.units import size
    from srkd_bench.experiments.transfer import bundle

    suite, runs = leading_suite(names or [], old_suite)
    if not runs and suite is None:
        raise SrkdError(
            "no suite and no run is given", "srkd store export demo -o demo.tar, or ids of `srkd ls runs`"
        )
    if output.suffix != ".tar":
        raise SrkdError(f"'{output}' does not end in .tar", f"-o {output.name.split('.')[0] or 'runs'}.tar")
    if output.exists() and not force:
        raise SrkdError(f"'{output}' exists", "--force overwrites it")
    store, display = open_store(home)
    named = [cell.suite for cell in load_grid(suite).cells] if suite else []
    places = bundle.finished(store, runs, named, display, labels=not no_labels)
    written = bundle.export(store, places, output, display)
    if json_:
        print_json({"schema": 1, "file": str(output), "bytes": written, "holds": places})
    else:
        display.say(f"Wrote {output}: {bundle.contents(places)}, {size(written)}")
        display.say(f"To import it elsewhere: srkd store import {output.name}")


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE.tar", help="File that `srkd store export` wrote.")],
    home: Home = None,
    json_: Json = False,
) -> None:
    """Import runs and scores from a file of `srkd store export`.

    Everything is validated before anything is stored. Existing runs and scores are unchanged.
    """
    from srkd_bench.experiments.transfer import bundle

    store, display = open_store(home)
    came = bundle.take_in(store, file, display)
    if json_:
        print_json({"schema": 1, "new": came.new, "here": came.here, "datasets": came.datasets})
        return
    were = f"{len(came.here)} {'was' if len(came.here) == 1 else 'were'} already in the store"
    display.say(f"{file}: {bundle.contents([*came.new, *came.here])}: {len(came.new)} new, {were}")
    if came.datasets:
        display.say(f"A report also needs their images: srkd download {' '.join(came.datasets)}")


def _remedy(path: Path) -> str:
    """Return how a deleted item is recreated."""
    from srkd_bench.config.artifacts import ARTIFACTS
    from srkd_bench.data.catalog import DATASETS

    kind, name = path.parts[-2:] if path.parent.name in (*ARTIFACTS, "downloads") else ("work", path.name)
    if kind == "data" and not name.endswith(("_x2", "_x3", "_x4")) and name not in DATASETS:
        return f"`srkd download {name} --from DIR` imports it again"
    if kind == "data" and name in DATASETS and not DATASETS[name].builtin:
        return f"`srkd download {name}` downloads it again"
    return {
        "runs": "the next `srkd run` of a suite that needs it trains it again",
        "weights": "the next `srkd run` of a suite that names them imports them again",
        "labels": "the next `srkd run` of a suite that needs them computes them again",
        "scores": "the next `srkd run` or `srkd evaluate` that needs them measures them again",
        "data": "the next command that needs it creates it again",
        "downloads": "the next command that needs it downloads it again",
        "work": "the next `srkd run` of a suite that needs it restarts that run",
    }[kind]
