"""Super-resolve image files without overwriting any."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from srkd_bench import __version__
from srkd_bench.config.base import short
from srkd_bench.core.errors import FailedImages, MissingError, SrkdError
from srkd_bench.core.files import put, writable
from srkd_bench.data.images import find_images, unreadable
from srkd_bench.evaluation.inference import pictures
from srkd_bench.evaluation.scoring import network
from srkd_bench.networks.stored import Chosen
from srkd_bench.store.downloads import checksum_of
from srkd_bench.store.workspace import Workplace

MAX_SR_PIXELS = 100_000_000  # about 3 GB while it is computed and written
TEXT = "srkd"  # the PNG's text that identifies network and input


@dataclass(frozen=True)
class Upscaled:
    """The files written, and files that already exist from the same image and network."""

    written: list[Path]
    kept: list[Path]


def upscale(
    chosen: Chosen, sources: Sequence[Path], folder: Path, place: Workplace, *, force: bool
) -> Upscaled:
    """Write the SR of images as `NAME_x2.png`, one after the other.

    Args:
        sources: images and folders of images; earlier output of srkd in `folder` is excluded.
        folder: created if needed.
        force: replace existing files.
    Raises:
        MissingError: a source is missing, or a folder has no images. SrkdError: a file would be overwritten, two
            images would have the same output, or the only image cannot be read; nothing is written.
        FailedImages: some cannot be read or are too large; the others are written.
    """
    targets = _targets(sources, folder, chosen.model.spec.scale)
    texts = {target: _text(chosen, source) for target, source in targets.items()}
    made = (
        target
        for target, text in texts.items()
        if target.is_file() and pictures.text_of(target, TEXT) == text
    )
    kept = [] if force else list(made)
    todo = {target: source for target, source in targets.items() if target not in kept}
    if not force:
        _refuse_to_overwrite([target for target in todo if target.exists()])
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
    failures = _work(chosen, todo, texts, place, force=force)
    if failures and len(targets) == 1:
        raise failures[0]
    if failures:
        for error in failures:
            place.display.say(f"{error.message} ({error.hint})" if error.hint else error.message)
        raise FailedImages(
            f"{len(failures)} of {len(targets)} images were not upscaled", "see the messages above"
        )
    return Upscaled(list(todo), kept)


def _targets(sources: Sequence[Path], folder: Path, scale: int) -> dict[Path, Path]:
    """Return the output file of each image."""
    targets: dict[Path, Path] = {}
    for source in _images(sources, folder):
        target = folder / f"{source.stem}_x{scale}.png"
        if target in targets:
            raise SrkdError(
                f"'{targets[target]}' and '{source}' would both become '{target.name}'",
                "upscale them into different folders",
            )
        targets[target] = source
    return targets


def _images(sources: Sequence[Path], output: Path) -> list[Path]:
    found: dict[Path, None] = {}  # ordered, without duplicates
    for source in sources:
        if not source.exists():
            raise MissingError(f"no image or folder '{source}'")
        if not source.is_dir():
            found[source] = None
            continue
        inside = find_images(source)
        if not inside:
            raise MissingError(f"no images in '{source}'", "subfolders are not searched; name them")
        found |= dict.fromkeys(inside)
    originals = [path for path in found if not _is_own_output(path, output)]
    if not originals:
        raise MissingError(
            f"every given image is SR that srkd wrote into '{output}'",
            "choose another -o to upscale it again",
        )
    return originals


def _is_own_output(path: Path, output: Path) -> bool:
    """Return whether an image is SR that an earlier `upscale` wrote into the output folder."""
    return path.parent.resolve() == output.resolve() and bool(pictures.text_of(path, TEXT))


def _text(chosen: Chosen, source: Path) -> str:
    """Return a text that identifies the input pixels and the network of an SR image."""
    try:
        content = checksum_of(source, "sha256")
    except OSError:
        content = "unreadable"
    return f"network {chosen.key.name}, image {short(content)}"


def _refuse_to_overwrite(there: list[Path]) -> None:
    if there:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise SrkdError(
            f"'{there[0]}'{more} would be overwritten",
            "choose another -o, or --force to replace them",
        )


def _work(
    chosen: Chosen, todo: dict[Path, Path], texts: dict[Path, str], place: Workplace, *, force: bool
) -> list[SrkdError]:
    """Write the SR of readable images and return the errors of the others."""
    failures, scale = [], chosen.model.spec.scale
    super_resolve = network(chosen.model, device=place.device)
    with place.display.bar(f"upscaling by {chosen.title}") as tick:
        for done, (target, source) in enumerate(todo.items()):
            tick(done, len(todo))
            try:
                picture = pictures.read(source)
                height, width, _ = picture.pixels.shape
                if height * width * scale**2 > MAX_SR_PIXELS:
                    reason = f"its SR would have more than {MAX_SR_PIXELS // 10**6} megapixels"
                    raise unreadable(source.name, reason, "cut it into smaller images first")
                large = pictures.enlarged(picture, super_resolve(source.name, picture.rgb), scale)
            except SrkdError as error:
                failures.append(error)
                continue
            if not force:
                _refuse_to_overwrite([target] if target.exists() else [])
            put(target, pictures.to_png(large, Software=f"srkd {__version__}", **{TEXT: texts[target]}))
        tick(len(todo), len(todo))
    return failures
