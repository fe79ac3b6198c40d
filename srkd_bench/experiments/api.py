"""The Python interface: run studies, load networks, evaluate, and compute the protocol's images and metrics.

Import it as `import srkd_bench as srkd`; every name of this module is an attribute of the package.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import current_process
from pathlib import Path
from signal import SIGINT
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from srkd_bench.config.suite import TeacherSpec
from srkd_bench.core.errors import SrkdError, Stopped
from srkd_bench.core.progress import Display
from srkd_bench.core.signals import EXIT_CODES, Interrupted, interruptible
from srkd_bench.data import images
from srkd_bench.evaluation.metrics import measure
from srkd_bench.experiments import workflow
from srkd_bench.experiments.analysis import collect
from srkd_bench.experiments.study_results import StudyResults
from srkd_bench.store.workspace import RunOptions

if TYPE_CHECKING:
    from torch import nn

    from srkd_bench.evaluation.inference.module import Upscaler
    from srkd_bench.experiments.planning.planner import Plan
    from srkd_bench.store.artifact_store import ArtifactStore

Image = NDArray[np.uint8]


def run(
    suite: str | Path = "demo",
    *,
    seeds: int | Sequence[int] | None = None,
    methods: str | Iterable[str] | None = None,
    teacher: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    baseline: str = "none",
    home: str | Path | None = None,
    device: str = "auto",
    jobs: int | None = None,
    checkpoint_seconds: float | None = None,
    progress: bool = True,
) -> StudyResults:
    """Train and evaluate a suite's teacher and students, and return the results, as `srkd run` does.

    Finished work is reused, and interrupted work resumes from its checkpoint. Several processes (`jobs`, or several
    GPUs) import the calling script again: put the call under `if __name__ == "__main__":`.

    Args:
        suite: name of a built-in suite, or a YAML file.
        seeds: number of seeds, counted from 0, or the seeds themselves; the suite's if not given.
        methods: methods instead of the suite's: names, `a+b`, or a method file, whose code is run.
        teacher: weights instead of training the teacher: a file, an address or `edsr-official`.
        settings: changes of the suite by key, such as `{"train.steps": 200}`.
        baseline: the method that all others are compared with.
        home: folder of the artifact store; `SRKD_HOME` or the user's cache folder if not given.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`, `xpu`, or several divided by commas; `all` is every GPU.
        jobs: number of worker processes; one for each device if not given.
        checkpoint_seconds: time between checkpoints; 300, or more where checkpoints would take over 1 % of it.
        progress: whether progress is shown on standard error, or below the cell of a notebook.
    Raises:
        FailedRuns: some runs failed; `results` returns what is finished.
        SrkdError: a wrong setting, or data is missing; the same errors as those of the command.
        KeyboardInterrupt: interrupted; a checkpoint is saved and the same call resumes.

    Example:
        >>> results = srkd.run("demo", seeds=6)  # doctest: +SKIP
    """
    if getattr(current_process(), "_inheriting", False):
        raise SrkdError(
            "a worker process called srkd.run while importing the script",
            'put the call under `if __name__ == "__main__":`',
        )
    _check_least(jobs=(jobs, 1), checkpoint_seconds=(checkpoint_seconds, 0))
    display = _display(progress)
    with _interruptible(display):
        changes = _changes(settings, seeds, teacher)
        options = RunOptions(device, jobs, None, checkpoint_seconds)
        plan, store = workflow.find_plan(
            str(suite), changes, _path(home), display, _names(methods), execution=options
        )
        collect.check_baseline(baseline, plan)
        if failed := workflow.complete(plan, store, display, options):
            raise failed
    return _results(plan, store, display, baseline)


def results(
    suite: str | Path = "demo",
    *,
    seeds: int | Sequence[int] | None = None,
    methods: str | Iterable[str] | None = None,
    teacher: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    baseline: str = "none",
    home: str | Path | None = None,
    progress: bool = True,
) -> StudyResults:
    """Return the results of a suite that are finished so far, without any training, as `srkd report` does.

    Args:
        suite, seeds, methods, teacher, settings, baseline, home, progress: as in `run`.
    Raises:
        SrkdError: a wrong setting.

    Example:
        >>> print(srkd.results("demo").table())  # doctest: +SKIP
    """
    display = _display(progress)
    changes = _changes(settings, seeds, teacher)
    found = workflow.find_plan(str(suite), changes, _path(home), display, _names(methods), readonly=True)
    return _results(*found, display, baseline)


def load(
    run: str | None = None,
    *,
    weights: str | Path | None = None,
    home: str | Path | None = None,
    device: str = "cpu",
) -> Upscaler:
    """Return a trained network as an `nn.Module` with a method `upscale(image)`.

    Args:
        run: an unambiguous prefix of a finished run's id, as `srkd ls` prints it.
        weights: instead of a run: a file, an address or `edsr-official`; it is imported into the store.
        home: folder of the artifact store; `SRKD_HOME` or the user's cache folder if not given.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps` or `xpu`; `module.to(device)` moves it later.
    Returns:
        The network in evaluation mode. `module(lr)` maps (N, 3, h, w) float32 in [0, 1] to
        (N, 3, scale*h, scale*w); `module.upscale(image)` maps an image to an image; `module.scale` is 2, 3 or 4.
    Raises:
        MissingError: no such run or file. SrkdError: several runs match, or the file holds no known network.

    Example:
        >>> sr = srkd.load("4f1a").upscale("photo.jpg")  # doctest: +SKIP
    """
    from srkd_bench.evaluation.inference.module import Upscaler
    from srkd_bench.networks.stored import choose

    display = _display(True)
    place = workflow.workplace(workflow.open_store(_path(home), display), display, RunOptions(device))
    chosen = choose(run, None if weights is None else TeacherSpec(weights=str(weights)), place)
    return Upscaler(chosen.model).to(place.device).eval()


def evaluate(
    network: nn.Module | str | Path,
    datasets: str | Iterable[str],
    *,
    scale: int = 2,
    self_ensemble: bool = False,
    name: str | None = None,
    home: str | Path | None = None,
    device: str | None = None,
    progress: bool = True,
) -> StudyResults:
    """Measure a network or SR images on data sets by the exact protocol, as `srkd evaluate` does.

    Args:
        network: an `nn.Module` that maps (N, 3, h, w) in [0, 1] to (N, 3, scale*h, scale*w); or a file of weights,
            an address or `edsr-official`; or a folder of SR images; or `bicubic`.
        datasets: names of data sets, such as `["set5", "set14"]`; `srkd ls datasets` lists them.
        scale: of a module, of SR images and of `bicubic`; other networks have their own.
        self_ensemble: whether SR is the mean over eight flips and rotations.
        name: of a module in tables and data frames; its class's name if not given.
        home: folder of the artifact store; `SRKD_HOME` or the user's cache folder if not given.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps` or `xpu`; a module's own device if not given, else `auto`.
        progress: whether progress is shown on standard error, or below the cell of a notebook.
    Returns:
        All metrics of every image. Scores of a module are not stored, since its weights may change.
    Raises:
        MissingError: a data set has to be downloaded first, or the file does not exist.
        SrkdError: a module maps to another shape, or a file holds no known network.

    Example:
        >>> srkd.evaluate(module, ["set5"], scale=4).to_pandas()  # doctest: +SKIP
    """
    from torch import nn

    from srkd_bench.experiments.runs import standalone

    module = network if isinstance(network, nn.Module) else None
    weights, sr_dir = _source(network)
    names = _names(datasets)
    if not names:
        raise SrkdError("no data set is named", 'srkd.evaluate(network, ["set5", "set14"])')
    if scale not in images.SCALES:
        raise SrkdError(f"scale is {scale}", "2, 3 or 4")
    if self_ensemble and module is None and weights is None:
        raise SrkdError("self_ensemble needs a network", "SR images and bicubic are measured as they are")
    display = _display(progress)
    options = RunOptions(device or _device_of(module))
    with _interruptible(display):
        place = workflow.workplace(workflow.open_store(_path(home), display), display, options)
        found = standalone.measure(
            names,
            place,
            scale=scale,
            weights=None if weights is None else TeacherSpec(weights=str(weights)),
            sr_dir=sr_dir,
            module=module,
            name=name,
            self_ensemble=self_ensemble,
        )
    return StudyResults(found)


def imresize(image: Image, factor: float) -> Image:
    """Resize an image as MATLAB's `imresize(image, factor)` does: bicubic, antialiased, bit for bit.

    Benchmarks first cut HR at the bottom and right to a multiple of the scale; then `factor` is 1/scale for LR.

    Args:
        image: (H, W) or (H, W, C) uint8.
        factor: 2, 3 or 4 to enlarge; 1/2, 1/3 or 1/4 to shrink.
    Returns:
        (ceil(H*factor), ceil(W*factor)) or (ceil(H*factor), ceil(W*factor), C) uint8.
    Raises:
        ValueError: wrong shape, type or factor.

    Example:
        >>> srkd.imresize(numpy.zeros((8, 6, 3), numpy.uint8), 1 / 2).shape
        (4, 3, 3)
    """
    steps = factor if factor >= 1 else 1 / factor if factor > 0 else 0
    scale = round(steps)
    if scale not in images.SCALES or abs(steps - scale) > 1e-9:
        raise ValueError(f"expected a factor of 2, 3, 4, 1/2, 1/3 or 1/4, got {factor}")
    solid = image[..., None] if image.ndim == 2 else image
    resized = images.upscale(solid, scale) if factor > 1 else images.downscale(solid, scale)
    return resized[..., 0] if image.ndim == 2 else resized


def psnr_y(sr: Image, hr: Image, *, scale: int) -> float:
    """Return the peak signal-to-noise ratio in dB of the BT.601 luma, `inf` where the images are equal.

    Args:
        sr, hr: (H, W, 3) uint8 RGB, same shape.
        scale: 2, 3 or 4, which is also the number of pixels excluded on each side.
    Raises:
        ValueError: wrong shape or type, or too small images.

    Example:
        >>> srkd.psnr_y(sr, hr, scale=2)  # doctest: +SKIP
        33.67
    """
    return _measured("psnr_y", sr, hr, scale)


def ssim_y(sr: Image, hr: Image, *, scale: int) -> float:
    """Return the mean structural similarity of the BT.601 luma, 1 where the images are equal.

    Args:
        sr, hr: (H, W, 3) uint8 RGB, same shape, at least 11 + 2*scale pixels a side.
        scale: 2, 3 or 4, which is also the number of pixels excluded on each side.
    Raises:
        ValueError: wrong shape or type, or too small images.

    Example:
        >>> srkd.ssim_y(sr, hr, scale=2)  # doctest: +SKIP
        0.930
    """
    return _measured("ssim_y", sr, hr, scale)


def _measured(metric: str, sr: Image, hr: Image, scale: int) -> float:
    return measure(sr, hr, scale=scale, metrics=[metric])[metric]


def _results(plan: Plan, store: ArtifactStore, display: Display, baseline: str) -> StudyResults:
    return StudyResults(collect.results(plan, store, baseline=baseline), (plan, store, display))


def _display(progress: bool) -> Display:
    return Display(Console(stderr=True, quiet=not progress))


def _path(folder: str | Path | None) -> Path | None:
    return None if folder is None else Path(folder)


def _names(names: str | Iterable[str] | None) -> list[str]:
    """Return names given as a list, or as one comma-separated text."""
    found = names.split(",") if isinstance(names, str) else list(names or [])
    return [name.strip() for name in found if name.strip()]


def _changes(
    settings: Mapping[str, Any] | None, seeds: int | Sequence[int] | None, teacher: str | Path | None
) -> list[str]:
    """Return settings in the form of `--set`."""
    changes = dict(settings or {})
    if isinstance(seeds, str):
        raise SrkdError(f"seeds is {seeds!r}", "give a number of seeds (6), or the seeds themselves ([0, 2])")
    if seeds is not None:
        changes["seeds"] = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    try:
        texts = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in changes.items()]
    except TypeError as error:
        raise SrkdError(
            f"settings: {error}", "give text, numbers, truth values, lists and mappings"
        ) from None
    return workflow.with_teacher(texts, None if teacher is None else str(teacher))


def _check_least(**bounds: tuple[float | None, float]) -> None:
    for name, (value, least) in bounds.items():
        if value is not None and value < least:
            raise SrkdError(f"{name} is {value}, but at least {least:g} is needed")


def _source(network: object) -> tuple[str | None, Path | None]:
    """Return the weights or the folder of SR images to measure; None for a module and for bicubic."""
    if not isinstance(network, str | Path) or network == "bicubic":
        return None, None
    folder = Path(network)
    return (None, folder) if folder.is_dir() else (str(network), None)


def _device_of(module: nn.Module | None) -> str:
    """Return the device of a module's weights."""
    weight = None if module is None else next(module.parameters(), None)
    return "auto" if weight is None else str(weight.device)


@contextmanager
def _interruptible(display: Display) -> Iterator[None]:
    """Raise KeyboardInterrupt on Ctrl-C or SIGTERM, as Python programs expect; finished work is kept."""
    try:
        with interruptible():
            yield
    except Interrupted as signal:
        stopped = signal.stopped()
    except Stopped as error:
        stopped = error
    else:
        return
    message = f"{stopped.message}; the same call resumes"
    if stopped.exit_code == EXIT_CODES[SIGINT]:
        raise KeyboardInterrupt(message)
    display.say(message)
    raise SystemExit(stopped.exit_code)
