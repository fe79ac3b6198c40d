"""Write a figure as compact, reproducible SVG."""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from srkd_bench.report.figures.palette import INK
from srkd_bench.report.figures.style import styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_LENGTHS = {"d", "x", "y"}  # in points or a font's units: two decimals are more than anyone sees
_HREF = f"{{{XLINK}}}href"


def to_svg(figure: Figure, name: str) -> str:
    """Return one `<svg>` element without script, style sheet or comment; its ground is transparent.

    Whatever was drawn in `INK` is `currentColor`: the text's colour of the page, dark or light. Styles are written
    as attributes of their own, which a page may have whose policy admits no inline style.

    Args:
        name: unique on the page and of letters, digits, `_` and `-`: all ids begin with it.
    """
    file = BytesIO()
    with styled(**{"svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    # The parser drops comments, where matplotlib repeats all texts.
    root = ElementTree.fromstring(file.getvalue())
    for parent in list(root.iter()):
        for child in [one for one in parent if one.tag.rpartition("}")[2] in ("metadata", "style")]:
            parent.remove(child)
    _rename(root, name)
    for element in root.iter():
        styles = (text.split(":", 1) for text in element.attrib.pop("style", "").split(";") if ":" in text)
        element.attrib |= {what.strip(): how.strip().replace(INK, "currentColor") for what, how in styles}
        for length in sorted(_LENGTHS & set(element.attrib)):
            element.set(length, _rounded(element.get(length, "")))
    # The dropped style sheet's rules would have been the whole page's; black is what has no fill of its own.
    root.attrib |= {"fill": "currentColor", "stroke-linejoin": "round", "stroke-linecap": "butt"}
    root.set("role", "img")
    ElementTree.register_namespace("", SVG)
    return re.sub(r"\s*\n\s*", " ", ElementTree.tostring(root, encoding="unicode"))


def _rename(root: ElementTree.Element, name: str) -> None:
    """Keep only ids that something refers to, and let them begin with the figure's name."""
    content = [value for element in root.iter() for value in element.attrib.values()]
    used = {target for value in content for target in re.findall(r"^#(.+)$|url\(#(.+?)\)", value)}
    new = {old: f"{name}-{i}" for i, old in enumerate(sorted("".join(pair) for pair in used))}
    for element in root.iter():
        if (own := element.attrib.pop("id", None)) in new:
            element.set("id", new[own])
        if (target := element.attrib.pop(_HREF, None)) is not None:
            element.set("href", re.sub("^#(.+)$", lambda found: "#" + new[found[1]], target))
        if (clip := element.get("clip-path")) is not None:
            element.set("clip-path", re.sub(r"#(.+)\)", lambda found: f"#{new[found[1]]})", clip))


def _rounded(lengths: str) -> str:
    return re.sub(r"\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), lengths)
