"""Draw what a method reads, as SVG with the colours of the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from srkd_bench.methods.base import Method
from srkd_bench.networks.base import BODY, HEAD
from srkd_bench.training.contract.counting import Count

WIDTH, GAP, HEIGHT, ROW = 74, 8, 34, 62  # of a column, between columns, of a box, from row to row
DEPTHS = {HEAD: "head", 0.25: "¼", 1 / 3: "⅓", 0.5: "½", 2 / 3: "⅔", 0.75: "¾", BODY: "end"}


@dataclass(frozen=True)
class Column:
    """Something that a loss can read.

    Args:
        owner: `HR`, `Student`, `Teacher`, `Average` (of the student) or `Peer`.
        lines: its text.
        adapted: whether the adapter reads it.
    """

    owner: str
    lines: tuple[str, ...]
    adapted: bool = False


def columns(method: type[Method]) -> list[Column]:
    """Return what the loss of a method reads, the inputs of its adapter beside each other."""
    adapted = method.adapter is not Method.adapter
    features = ("features", " ".join(DEPTHS.get(tap, f"{tap:.3g}") for tap in method.taps))
    read = method.needs if method.looks else ()
    found = [Column("HR", ("HR",)), Column("Student", ("SR",))]
    found += [Column("Student", features, adapted)] * bool(method.taps)
    found += [Column("Teacher", features, adapted)] * ("features" in read and bool(method.taps))
    found += [Column("Teacher", ("layers",), adapted=True)] * ("network" in read and adapted)
    found += [Column("Teacher", ("SR",))] * ("sr" in read)
    other = "Peer" if method.after_step is Method.after_step else "Average"
    return found + [Column(other, ("SR",))] * (adapted and not any(one.adapted for one in found))


def svg(name: str, method: type[Method], cost: Count) -> str:
    """Return the figure of a method, from top to bottom: inputs, networks, their outputs, adapter and loss."""
    found = columns(method)
    places = range(len(found))
    networks = {
        owner: [i for i in places if found[i].owner == owner]
        for owner in ("Student", "Teacher", "Average", "Peer")
    }
    fed = [i for i in places if found[i].owner != "HR"]
    inputs = "LR, other images" if cost.other_images else "LR"
    parts = [_box([0], 0, "HR"), _box(fed, 0, inputs)]
    for owner, own in networks.items():
        if own:
            label = "Teacher, frozen" if owner == "Teacher" and len(own) > 1 else owner
            parts += [_arrow(own, 0, 1), _box(own, 1, label, kind=owner.lower())]
            parts += [part for i in own for part in (_arrow([i], 1, 2), _box([i], 2, *found[i].lines))]
    bridge = [i for i in places if found[i].adapted]
    last = 4 if bridge else 3
    if bridge:
        parts += [_arrow([i], 2, 3) for i in bridge]
        parts += [
            _box(bridge, 3, "adapter", f"{cost.weights:,} weights", kind="adapter"),
            _arrow(bridge, 3, last),
        ]
    parts += [_arrow([i], 0 if found[i].owner == "HR" else 2, last) for i in places if i not in bridge]
    parts.append(_box(list(places), last, "loss", kind="loss"))
    width, height = len(found) * (WIDTH + GAP) - GAP + 2, last * ROW + HEIGHT + 2
    title = f"What the loss of {name} reads: " + "; ".join(
        f"{one.owner} {' '.join(one.lines)}" if one.owner != "HR" else "HR" for one in found
    )
    return (
        f'<div class="reads"><svg viewBox="-1 -1 {width} {height}" style="width: {1.2 * width:.0f}px" role="img"'
        f' aria-label="{escape(title)}">{"".join(parts)}</svg></div>'
    )


def _box(span: Sequence[int], row: int, *lines: str, kind: str = "data") -> str:
    """Return a box over columns with centred lines of text."""
    left, width = span[0] * (WIDTH + GAP), (span[-1] - span[0]) * (WIDTH + GAP) + WIDTH
    middle, top = left + width / 2, row * ROW + HEIGHT / 2 + 4 - 7 * (len(lines) - 1)
    texts = "".join(
        f'<text x="{middle:g}" y="{top + 14 * i:g}">{escape(line)}</text>' for i, line in enumerate(lines)
    )
    return (
        f'<rect class="{kind}" x="{left}" y="{row * ROW}" width="{width}" height="{HEIGHT}" rx="4"/>{texts}'
    )


def _arrow(span: Sequence[int], start: int, end: int) -> str:
    """Return an arrow down from one row to another, at the middle of columns."""
    x = (span[0] + span[-1]) / 2 * (WIDTH + GAP) + WIDTH / 2
    top, bottom = start * ROW + HEIGHT, end * ROW
    return f'<path d="M{x:g} {top}V{bottom - 2}m-4 -6l4 6l4 -6"/>'
