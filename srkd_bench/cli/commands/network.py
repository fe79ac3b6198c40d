"""`srkd upscale`, `srkd export` and `srkd profile`: use a trained network."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srkd_bench.cli.options import Device, Home, Json, Range, ResScale, run_options, weights_of
from srkd_bench.cli.output import err, out, print_json, print_table
from srkd_bench.cli.session import open_store, workplace
from srkd_bench.core.errors import SrkdError

if TYPE_CHECKING:
    from srkd_bench.evaluation.inference.profile import Cost
    from srkd_bench.store.workspace import Workplace


WeightsFile = Annotated[
    str | None, typer.Option("--weights", metavar="FILE", help="Instead of a run: a network's weights.")
]
RunName = Annotated[
    str | None, typer.Argument(metavar="RUN", help="The first digits of a run's id, as in `srkd ls`.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]


class Format(StrEnum):
    """What `export` writes."""

    ONNX = "onnx"
    SAFETENSORS = "safetensors"
    PT2 = "pt2"


def _place(home: Path | None, device: str) -> Workplace:
    from srkd_bench.core.progress import Display

    return workplace(open_store(home), Display(err), run_options(device))


def upscale(
    sources: Annotated[list[Path], typer.Argument(metavar="IMAGE|DIR…", help="Images, folders of images.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Made if need be.")],
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="The first digits of a run's id.")
    ] = None,
    weights: WeightsFile = None,
    range_: Range = None,
    res_scale: ResScale = None,
    force: Force = False,
    home: Home = None,
    device: Device = "auto",
) -> None:
    """Upscale images by a finished network, to DIR/NAME_x2.png.

    An alpha channel is kept, enlarged by MATLAB's bicubic; grey stays grey; an RGB or grey colour profile is kept;
    the image is turned as its EXIF says. 16-bit and CMYK images are refused. What the same network has made of the
    same file is not made again; other files that are there are never overwritten without --force.
    """
    from srkd_bench.evaluation.inference.upscale import upscale as work
    from srkd_bench.networks.stored import choose

    place = _place(home, device)
    done = work(
        choose(run, weights_of(weights, range_, res_scale), place), sources, output, place, force=force
    )
    if done.kept:
        place.display.say(f"{len(done.kept)} SR images were there already, made of the same by this network")
    place.display.say(f"wrote {len(done.written)} SR images to {output}")


def export(
    to: Annotated[Format, typer.Option("--to", help="The file's format.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to.")],
    run: RunName = None,
    weights: WeightsFile = None,
    range_: Range = None,
    res_scale: ResScale = None,
    check: Annotated[
        Path | None, typer.Option("--check", metavar="DIR", help="Compare on these HR images, too.")
    ] = None,
    force: Force = False,
    home: Home = None,
    json_: Json = False,
) -> None:
    """Write a network for other programs, after checking it against PyTorch on photographs.

    It maps float32 RGB in [0, 1], (batch, 3, height, width) of any size, to SR; the file's metadata say so. SR may
    differ by 0.0001 and PSNR-Y by 0.001 dB, or nothing is written. onnx needs the extra `onnx`.
    """
    from srkd_bench.evaluation.inference.export import check_request, describe
    from srkd_bench.evaluation.inference.export import export as write
    from srkd_bench.networks.stored import choose

    check_request(to, output, force=force)
    place = _place(home, "cpu")
    chosen = choose(run, weights_of(weights, range_, res_scale), place)
    parity = write(chosen, to, output, place, check=check, force=force)
    if json_:
        about = describe(chosen)
        print_json({"schema": 1, "file": str(output), "about": about, "parity": vars(parity)})
    place.display.say(
        f"wrote {output}; on {parity.images} images SR differs from PyTorch's by at most"
        f" {parity.difference:.1e} of 1, PSNR-Y by {parity.decibel:.6f} dB"
    )


def profile(
    run: RunName = None,
    weights: WeightsFile = None,
    range_: Range = None,
    res_scale: ResScale = None,
    size: Annotated[str, typer.Option("--size", metavar="WxH", help="Of the LR image.")] = "128x128",
    runs: Annotated[int, typer.Option("--runs", min=1, max=10_000, help="Passes that are timed.")] = 10,
    home: Home = None,
    device: Device = "auto",
    json_: Json = False,
) -> None:
    """Measure what a network costs, beside its teacher: weights, multiply-adds, time and memory of a pass.

    After 3 passes to warm up, student and teacher take turns; the time is the median and the quartiles. Memory is
    the most that a pass takes beyond torch itself, with the weights: on the CPU what the system says of a process
    of its own, on CUDA what torch has allocated.
    """
    from srkd_bench.evaluation.inference.profile import profile as measure
    from srkd_bench.networks.stored import choose, find_teacher

    sides = _size(size)
    place = _place(home, device)
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
        f"LR {width}×{height}, {runs} rounds after {WARM_UP} to warm up, {device}, {threads} threads,"
        f" torch {version}",
        highlight=False,
    )


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch("([0-9]{1,5})[x×]([0-9]{1,5})", text)
    sides = [int(side) for side in found.groups()] if found else [0]
    if not all(1 <= side <= 16_384 for side in sides):
        raise SrkdError(f"'{text[:20]}' is no size", "--size 320x180: width and height, 1 to 16384 LR pixels")
    return sides[0], sides[1]


def _plain(cost: Cost) -> dict[str, object]:
    median, low, high = cost.seconds
    return vars(cost) | {"seconds": {"median": median, "quartiles": [low, high]}}


def _rows(costs: list[Cost]) -> list[dict[str, str]]:
    """Return what was measured, a column a network; the last is how many times the teacher's is the student's."""
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
