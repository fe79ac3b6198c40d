"""Generate a page for each installed method from its docstrings, fields, source and results."""

import inspect
import re
from collections.abc import Iterable
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from latex2mathml.converter import convert
from pydantic import TypeAdapter

from docs_generators import method_costs, method_figures, method_results
from srkd_bench.methods import composition, registry
from srkd_bench.methods.base import Method
from srkd_bench.training.contract.counting import Count
from srkd_bench.training.contract.random_encoder import completed

LABEL = re.compile(r"([A-Z]\w+): (?=\S)")
HEADINGS = {"Deviation": "Deviations", "Reading": "Readings", "Default": "Default"}
SYMBOLS = {
    "x": "LR batch",
    "y": "HR batch",
    "S": "the student's SR",
    "T": "the teacher's SR, without gradient",
    "F^S": "features of the student",
    "F^T": "features of the teacher",
    r"\hat{F}": "features whose channels are standardised by fixed statistics",
    "l": "level: a depth at which features are read",
    r"\ell": "the suite's loss, `train.loss`",
    "d": "mean distance of two SRs, squared or L1 as the parameter `loss`",
    r"\operatorname{MSE}": "mean squared error",
    r"\operatorname{MAE}": "mean absolute error",
    "N": "images of the batch",
    "w": "parameter `weight`",
    r"\alpha": "parameter `alpha`",
    r"\operatorname{sg}": "stops the gradient",
}
ARGUMENT = re.compile(r" {4}(\w[\w, ]*): (.+)")


def pages() -> dict[str, str]:
    """Return the Markdown of every method's page and of their overview, by path."""
    names = registry.names()
    return {"methods/index.md": overview(names)} | {f"methods/{name}.md": page(name) for name in names}


def overview(names: Iterable[str]) -> str:
    """Return the page that lists the methods."""
    rows = [
        (f"[`{name}`]({name}.md)", prose(registry.summary(name)), f"`{kind.kind}`", paper(kind.source))
        for name in names
        for kind in [registry.find(name)]
    ]
    return "\n\n".join(
        [
            "# Methods",
            "`srkd ls methods` lists the installed methods. Each is one file, and its page is generated from it.",
            table(("Name", "What it does", "Kind", "Source"), rows),
            "## Combinations",
            "`a+b` trains with the terms of both, as in `srkd distill --method rkd+hkd`. "
            f"{prose(described(composition.Composition)[0])}",
            "## Longer training without distillation",
            "`none@2x` trains the student without distillation for twice the suite's steps; any factor above 1 is "
            "possible. `none@equal-cost` trains it for as many multiply-adds as a method with a teacher. "
            "[Other budgets](../concepts.md#other-budgets) explains them.",
            "## Custom methods",
            "The [tutorial](../tutorial.md) implements a method and compares it with these. "
            "[Custom methods](../guides/methods.md) lists what a method can declare.",
        ]
    )


def page(name: str) -> str:
    """Return the page of one method."""
    method = registry.find(name)
    said, labelled, arguments = described(method)
    module = inspect.getmodule(method)
    assert module is not None
    more = inspect.cleandoc(module.__doc__ or "").partition("\n")[2].strip()
    parts = [f"# {name}", f"**{prose(registry.summary(name))}**", prose(said), prose(more), *loss(method)]
    ratio, own = method_costs.relative(completed(registry.build(name, {})))
    parts += ["## Inputs", method_figures.svg(name, method, own), facts(method, ratio, own)]
    parts += ["## Parameters", parameters(method, name, arguments)]
    for label in [label for label in {**HEADINGS, **labelled} if label in labelled]:
        texts = labelled[label]
        parts += [
            f"## {HEADINGS.get(label, label)}",
            "\n".join(f"- {prose(text[0].upper() + text[1:])}" for text in texts),
        ]
    settings = "".join(f" --set params.{name}.{key}=FILE.pt2" for key in registry.required(method))
    trust = " --trust" if settings else ""
    parts += [*results(name), "## Use", f"```sh\nsrkd{trust} distill --method {name}{settings}\n```"]
    source = inspect.getsource(module).strip().replace("\n", "\n    ")
    parts += [f'??? abstract "Source: {file_of(method)}"\n\n    ```python\n    {source}\n    ```']
    return "\n\n".join(part for part in parts if part)


def described(method: type[Method]) -> tuple[str, dict[str, list[str]], dict[str, str]]:
    """Return a class docstring taken apart.

    Returns:
        What it says first; its paragraphs that begin like `Deviation: `, by that word; its `Args:`, by name.
    """
    said: list[str] = []
    labelled: dict[str, list[str]] = {}
    arguments: dict[str, str] = {}
    section = said
    lines = iter(inspect.cleandoc(method.__doc__ or "").splitlines())
    for line in lines:
        if line.strip() in ("Args:", "Attributes:"):
            arguments |= _arguments(lines)
        elif label := LABEL.match(line):
            section = labelled.setdefault(label[1], [])
            section.append(line[label.end() :])
        elif section is said:
            said.append(line)
        elif line.strip():
            section[-1] += f" {line.strip()}"
        else:
            section = said
    return "\n".join(said).strip(), labelled, arguments


def _arguments(lines: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    names: list[str] = []
    for line in lines:
        if not line.strip():
            break
        if start := ARGUMENT.fullmatch(line):
            names = start[1].split(", ")
            found |= dict.fromkeys(names, start[2])
        else:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def loss(method: type[Method]) -> list[str]:
    """Return the formula of a method as MathML, with the meaning of its symbols."""
    if not method.formula:
        return []
    own = dict(line.split(": ", 1) for line in method.symbols)
    text = " ".join(method.formula)
    meanings = {symbol: said for symbol, said in SYMBOLS.items() if _has(text, symbol)} | own
    lines = [f'<div class="formula">{convert(line, display="block")}</div>' for line in method.formula]
    rows = [(convert(symbol), prose(said)) for symbol, said in meanings.items()]
    return ["## Loss", "\n\n".join(lines), table(("Symbol", "Meaning"), rows)]


def _has(text: str, symbol: str) -> bool:
    """Return whether a LaTeX text has a symbol, not as a part of a word or as an index."""
    return re.search(rf"(?<![A-Za-z\\^_]){re.escape(symbol)}(?![A-Za-z])", text) is not None


def results(name: str) -> list[str]:
    """Return the tables of published and measured gains over the student without distillation."""
    parts: list[str] = []
    if rows := list(method_results.published(name)):
        head = ("Published gain in dB", "Set5", "Set14", "BSD100", "Urban100")
        parts += ["## Results", "PSNR-Y minus that of the student without distillation.", table(head, rows)]
    if rows := list(method_results.measured(name)):
        parts += [] if parts else ["## Results", "PSNR-Y minus that of the student without distillation."]
        head = ("Suite of srkd", "Gain in dB on all data sets [95 % interval]", "Holm p", "Verdict", "Seeds")
        parts += [
            table(head, rows),
            "Suites may set other parameters than the defaults ([Results](../results.md)).",
        ]
    return parts


def facts(method: type[Method], ratio: float, own: Count) -> str:
    """Return the declarations of the class, and what it costs, as a table."""
    depths = ", ".join(f"{tap:.3g}" for tap in method.taps)
    uses = "yes" if method.looks else "no: it needs no teacher forward pass"
    if method.fuses:
        uses = "two or more, fused: [Several teachers](../guides/networks.md#several-teachers)"
    encoder = ", and a small random encoder" if registry.required(method) else ""
    rows = [
        ("Source", paper(method.source)),
        ("Kind", f"`{method.kind}`"),
        ("Uses a teacher", uses),
        ("Features", f"at depths {depths}" if depths else "none"),
        (
            "Adapter",
            _adapter(method),
        ),
        ("Weights beside the student", f"{own.weights:,}"),
        (
            "Multiply-adds of a step",
            f"{ratio:.2f} × those without distillation ({method_costs.where(method)}{encoder})",
        ),
        ("Smallest batch", str(method.min_batch)),
        ("Can be stacked", "yes" if method.stacks else "no: it is trained as without `train.stacked`"),
        ("Version", str(method.version)),
    ]
    return table(("Property", "Value"), rows)


def _adapter(method: type[Method]) -> str:
    if method.adapter is Method.adapter:
        return "none"
    if method.after_step is not Method.after_step:
        return "a moving average of the student, updated beside it, then discarded"
    return "trained beside the student, then discarded"


def parameters(method: type[Method], name: str, arguments: dict[str, str]) -> str:
    """Return a method's hyper-parameters with their defaults and bounds."""
    listed = fields(method)  # type: ignore[arg-type]  # every method is a dataclass
    if not listed:
        return "None."
    hints = get_type_hints(method, include_extras=True)
    rows = [
        (
            f"`{one.name}`",
            "" if one.default in (MISSING, "") else f"`{written(one.default)}`",
            bounds(TypeAdapter(hints[one.name]).json_schema()),
            prose(arguments.get(one.name, "")),
        )
        for one in listed
    ]
    example = f"Set them with `--set params.{name}.{listed[0].name}=…` or under `params` in a suite."
    head = ("Name", "Default", "Values", "Meaning")
    if not any(row[3] for row in rows):
        return f"{table(head[:3], [row[:3] for row in rows])}\n\n{example}"
    return f"{table(head, rows)}\n\n{example}"


def written(value: Any) -> str:
    """Return a value as a suite would have it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def bounds(schema: dict[str, Any]) -> str:
    """Return in words what a JSON schema allows."""
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "boolean":
        return "`true` or `false`"
    words = {"integer": "whole number", "number": "number", "string": "text", "array": "list"}
    text = words.get(schema.get("type", ""), "")
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    text += f" from {low:,.10g}" if low is not None else f" above {above:,.10g}" if above is not None else ""
    return text + (
        f" to {high:,.10g}" if high is not None else f" below {below:,.10g}" if below is not None else ""
    )


def file_of(method: type[Method]) -> str:
    """Return the module that holds a method, as a path."""
    return method.__module__.replace(".", "/") + ".py"


def paper(source: str) -> str:
    """Return a source with its arXiv number or DOI as a link."""
    text = re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", prose(source))
    return re.sub(r"doi:(10\.[^\s;,]+)", r"[doi:\1](https://doi.org/\1)", text)


def prose(text: str) -> str:
    """Return a docstring's text for Markdown: what is neither `code` nor a page is taken literally."""
    parts = re.split(r"(``?[^`]+``?)", text)
    literal = "".join(
        part if i % 2 else re.sub(r"([*_<|\[\]#])", r"\\\1", part) for i, part in enumerate(parts)
    )
    return re.sub(r"\bdocs/(\w+)\.md", r"[\1](../\1.md)", literal)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    head = list(head)
    lines = [head, [":--"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
