"""`srkd upscale`, `srkd export` and `srkd profile`: use a trained network."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srkd_bench.cli import completion
from srkd_bench.cli.options import Device, Home, Json, Range, ResScale, weights_of
from srkd_bench.cli.output import out, print_json, print_table
from srkd_bench.cli.session import open_workplace
from srkd_bench.core.errors import SrkdError

if TYPE_CHECKING:
    from srkd_bench.evaluation.inference.profile import Cost


WeightsFile = Annotated[
    str | None,
    typer.Option("--weights", metavar="FILE", help="Weights file of a network, instead of a run."),
]
RunName = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN", autocompletion=completion.runs, help="An unambiguous prefix of a run's id (`srkd ls`)."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite existing files.")]


class Format(StrEnum):
    """What `export` writes."""

    ONNX = "onnx"
    SAFETENSORS = "safetensors"
    PT2 = "pt2"


def upscale(
    sources: Annotated[list[Path], typer.Argument(metavar="IMAGE|DIR…", help="Images or folders of images.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Output folder; created if missing.")
    ],
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="RUN",
            autocompletion=completion.runs,
            help="An unambiguous prefix of a run's id.",
        ),
    ] = None,
    weights: WeightsFile = None,
    range_: Range = None,
    res_scale: ResScale = None,
    force: Force = False,
    home: Home = None,
    device: Device = "auto",
) -> None:
    """Upscale images with a trained network.

    The output of NAME.png at scale 2 is DIR/NAME_x2.png. An alpha channel is upscaled with MATLAB's bicubic, grey
    images stay grey, RGB and grey profiles are kept, and the EXIF orientation is applied. 16-bit and CMYK images
    are refused. Images that this network has already upscaled are skipped; other existing files need --force.
    """
    from srkd_bench.evaluation.inference.upscale import upscale as work
    from srkd_bench.networks.stored import choose

    place = open_workplace(home, device)
    done = work(
        choose(run, weights_of(weights, range_, res_scale), place), sources, output, place, force=force
    )
    if done.kept:
        place.display.say(f"Skipped {len(done.kept)} images that this network has already upscaled")
    count = len(done.written)
    place.display.say(f"Wrote {count} SR image{'s' * (count != 1)} to {output}")


def export(
    to: Annotated[Format, typer.Option("--to", help="File format.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="File to write.")],
    run: RunName = None,
    weights: WeightsFile = None,
    range_: Range = None,
    res_scale: ResScale = None,
    check: Annotated[
        Path | None, typer.Option("--check", metavar="DIR", help="Folder of HR images to compare on as well.")
    ] = None,
    force: Force = False,
    home: Home = None,
    json_: Json = False,
) -> None:
    """Export a network to ONNX, safetensors or PT2.

    The exported network maps float32 RGB images in [0, 1] of shape (batch, 3, height, width) and any size to SR.
    The file's metadata describe this. Before the file is written, its output is compared with PyTorch's on
    photographs. Nothing is written if SR differs by more than 0.0001 or PSNR-Y by more than 0.001 dB. ONNX needs
    the extra srkd-bench[onnx].
    """
    from srkd_bench.evaluation.inference.export import check_request, describe
    from srkd_bench.evaluation.inference.export import export as write
    from srkd_bench.networks.stored import choose

    check_request(to, output, force=force)
    place = open_workplace(home, "cpu")
    chosen = choose(run, weights_of(weights, range_, res_scale), place)
    parity = write(chosen, to, output, place, check=check, force=force)
    if json_:
        about = describe(chosen)
        print_json({"schema": 1, "file": str(output), "about": about, "parity": vars(parity)})
    place.display.say(
        f"Wrote {output}; on {parity.images} images SR differs from PyTorch's by at most"
        f" {parity.difference:.1e} (range 0 to 1), PSNR-Y by {parity.decibel:.6f} dB"
    )


def profile(
    run: RunName = None,
    weights: WeightsFile = None,
    range_: Range = None,
    res_scale: ResScale = None,
    size: Annotated[str, typer.Option("--size", metavar="WxH", help="Size of the LR image.")] = "128x128",
    runs: Annotated[
        int, typer.Option("--runs", metavar="N", min=1, max=10_000, help="Number of timed forward passes.")
    ] = 10,
    home: Home = None,
    device: Device = "auto",
    json_: Json = False,
) -> None:
    """Measure a network's size, multiply-adds, time and memory.

    A student is measured together with its teacher: after three warm-up passes, their forward passes alternate.
    Time is the median of the passes, with quartiles. Memory is the peak including the weights, without PyTorch
    itself: on the CPU that of a separate process, on CUDA what PyTorch allocated.
    """
    from srkd_bench.evaluation.inference.profile import profile as measure
    from srkd_bench.networks.stored import choose, find_teacher

    sides = _size(size)
    place = open_workplace(home, device)
    student = choose(run, weights_of(weights, range_, res_scale), place)
    networks = {"student" if student.teacher else "network": student}
    if teacher := find_teacher(student, place):
        networks["teacher"] = teacher
    _print_costs(measure(networks, sides, runs, place), sides, runs, str(place.device), json_)


def _print_costs(costs: list[Cost], sides: tuple[int, int], runs: int, device: str, json_: bool) -> None:
    import torch

    from srkd_bench.evaluation.inference.profile import WARM_UP

    (width, height), threads, version = sides, torch.get_num_threads(), torch.__version__
    if json_:
        how = {"size": [width, height], "runs": runs, "warm_up": WARM_UP, "device": device}
        how |= {"threads": threads, "torch": version}
        print_json({"schema": 1, **how, "networks": [_plain(cost) for cost in costs]})
        return
    print_table(_rows(costs))
    out.print(
        f"LR {width}×{height}, {runs} passes after {WARM_UP} warm-up passes, {device},"
        f" {threads} thread{'s' * (threads != 1)}, torch {version}",
        highlight=False,
    )


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch("([0-9]{1,5})[x×]([0-9]{1,5})", text)
    sides = [int(side) for side in found.groups()] if found else [0]
    if not all(1 <= side <= 16_384 for side in sides):
        raise SrkdError(
            f"--size: '{text[:20]}' is not a size", "--size 320x180: width and height, 1 to 16384 LR pixels"
        )
    return sides[0], sides[1]


def _plain(cost: Cost) -> dict[str, object]:
    median, low, high = cost.seconds
    return vars(cost) | {"seconds": {"median": median, "quartiles": [low, high]}}


def _rows(costs: list[Cost]) -> list[dict[str, str]]:
    """Return the measurements, one column for each network; the last is the ratio of teacher to student."""
    shown = [_shown(cost) for cost in costs]
    rows = [
        {"": what, **{one.role: column[what] for one, column in zip(costs, shown, strict=True)}}
        for what in shown[0]
    ]
    if len(costs) == 2:
        student, teacher = costs
        ratios = {
            "parameters": teacher.parameters / student.parameters,
            "multiply-adds": teacher.multiply_adds / student.multiply_adds,
            "median time": teacher.seconds[0] / student.seconds[0],
        }
        if teacher.peak_bytes is not None and student.peak_bytes is not None:
            ratios["peak memory"] = teacher.peak_bytes / max(1, student.peak_bytes)
        for row in rows:
            row["teacher ÷ student"] = f"{ratios[row['']]:.1f}" if row[""] in ratios else ""
    return rows


def _shown(cost: Cost) -> dict[str, str]:
    from srkd_bench.core.units import size

    median, low, high = (1000 * value for value in cost.seconds)
    return {
        "run": cost.run,
        "network": cost.network,
        "parameters": f"{cost.parameters:,}",
        "multiply-adds": f"{cost.multiply_adds / 1e9:,.3f} G",
        "median time": f"{median:,.1f} ms",
        "quartiles": f"{low:,.1f} to {high:,.1f} ms",
        "peak memory": "unknown" if cost.peak_bytes is None else size(cost.peak_bytes),
    }
