"""Use folders of a user's own images as data sets."""

import hashlib
import json
import re
from pathlib import Path

from srkd_bench.config.artifacts import Pack
from srkd_bench.core.errors import MissingError
from srkd_bench.core.progress import Display
from srkd_bench.data import ingest
from srkd_bench.data.catalog import copy_name, is_path
from srkd_bench.data.images import find_images
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import INDEX


def resolve(store: ArtifactStore, name: str, display: Display, *, readonly: bool = False) -> str:
    """Return the store's name of a data set that is given by name or by a folder's path.

    A folder's images are packed at first use, and again after a file changed. They are identified by their pixels:
    images of a known data set get its name, others the folder's.

    Args:
        readonly: leave the store as it is.
    Raises:
        MissingError: no such folder, no images in it, or with `readonly` they are not packed yet.
        SrkdError: an image is broken or too small, or two have one name.
    """
    if not is_path(name):
        return name
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise MissingError(f"no folder '{name}'", "a data set is a name of `srkd ls datasets`, or a folder")
    stamp = stamp_of(folder)
    for _, key in store.keys(Pack.folder):
        place = Pack.model_validate(key).place
        if key["scale"] == 1 and json.loads(store.read(place, INDEX)).get("stamp") == stamp:
            return str(key["dataset"])
    proposed = proposed_name(folder)
    if readonly:
        hint = f"srkd download {proposed} --from {name}"
        raise MissingError(f"the images in '{name}' are not packed yet, or have changed since", hint)
    packed = ingest.adopt(store, proposed, folder, display, unnamed=True, stamp=stamp)
    display.say(f"{name}: images packed as '{copy_name(*packed)}'")
    return packed.name


def stamp_of(folder: Path) -> str:
    """Return a digest of the names, sizes and times of a folder's images, to detect changed files."""
    listed = [
        (path.relative_to(folder).as_posix(), path.stat().st_size, path.stat().st_mtime_ns)
        for path in find_images(folder, nested=True)
    ]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest() if listed else ""


def proposed_name(folder: Path) -> str:
    """Return the display name of a folder of own images: its own name, or its parent's if it is called `HR`."""
    path = folder.absolute().resolve()
    name = path.parent.name if path.name.lower() == "hr" else path.name
    slug = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:40]
    return re.sub(r"_(x[234])$", r"-\1", slug) or "images"
