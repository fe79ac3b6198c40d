"""The reference of suite files, made from the fields of the specs in `srkd_bench.config`."""

import ast
import inspect
from itertools import pairwise
from typing import Annotated, Any

import yaml
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from docs_generators.methods import bounds, table, written
from srkd_bench.config.base import Spec
from srkd_bench.config.claims import Claim
from srkd_bench.config.network import ForeignSpec, ModelSpec, RcanSpec
from srkd_bench.config.suite import DataSpec, EvaluateSpec, FusionTraining, Suite, TeacherSpec
from srkd_bench.config.training import TrainSpec

PATH = "reference/suite.md"
SECTIONS: dict[str, tuple[str, type[Spec]]] = {
    "Top level": ("", Suite),
    "Data": ("data", DataSpec),
    "Teacher": ("teacher", TeacherSpec),
    "Fusion": ("fusion", FusionTraining),
    "Student": ("student", ModelSpec),
    "RCAN": ("student", RcanSpec),
    "Custom architectures": ("student", ForeignSpec),
    "Training": ("train", TrainSpec),
    "Evaluation": ("evaluate", EvaluateSpec),
    "Claims": ("claims[]", Claim),
}
NOTES = {
    "Teacher": "Each entry of `teachers` takes the same keys.",
    "Fusion": "The network that fuses several `teachers`. "
    "[Several teachers](../guides/networks.md#several-teachers) explains it.",
    "Student": "An EDSR. `teacher.model` takes the same keys.",
    "RCAN": "An RCAN as student. `teacher.model` takes the same keys.",
    "Custom architectures": "A network of any other class. `teacher.model` takes the same keys. "
    "[Networks](../guides/networks.md) explains the requirements.",
    "Claims": "Exactly one of `best`, `second`, `gain`, `no_gain`, `only` and `reads` is required in each claim. "
    "[Statistical tests](../statistics.md#claims) explains the evidence that each form needs.",
}
INTRODUCTION = """# Suite file

A suite is a YAML file that describes a whole study: data sets, teacher, student, methods, seeds and evaluation.
`srkd show demo` prints one to start from, and `srkd run my-suite.yaml` runs yours.

```yaml
name: my-study
data:
  train: photos
  validation: photos-valid
  test: [photos-test]
  scale: 2
teacher:
  model: {n_feats: 32, n_resblocks: 8}
  train: {steps: 2000, learning_rate: 1e-3}
student: {n_feats: 16, n_resblocks: 4}
train: {batch: 8, patch: 24, steps: 1200, learning_rate: 2e-3, schedule: cosine}
methods: [none, hkd, ckd]
seeds: [0, 1, 2, 3, 4, 5]
```

`--set KEY=VALUE` changes any key on the command line: `srkd run demo --set train.steps=200 --seeds 2`.

- Unknown keys are refused, with the nearest known key as a hint. So are wrong types and values out of bounds.
- `1e-4` is a number, `no` and `010` are strings, and `true` and `false` are the only truth values.
- YAML aliases and tags are refused. A key may occur once.
- A suite that names code (a method file, a class outside the installed packages) needs `srkd --trust`.

`srkd ls suites` lists the built-in suites."""


HEAD = ("Key", "Values", "Default", "Meaning", "Example")
GRID = "A suite with a `grid` has several cells, each a study. [Grids](../guides/grids.md) shows how to run them."
GRID_KEYS = (
    (
        "`grid`",
        "mapping, or list of mappings",
        "–",
        "The values of each key that varies; any key of this page but `name` can. The cells are all combinations; "
        "those of a list of mappings are their union. Keys that are joined by commas vary together: each value is "
        "then a list with one entry for each key.",
        "`{train.steps: [2500, 10000], data.images: [50, 399]}`",
    ),
    (
        "`overrides`",
        "list of mappings",
        "–",
        "Settings of some cells. Later ones replace earlier ones.",
        "`[{when: {train.steps: 2500}, set: {train.learning_rate: 3e-3}}]`",
    ),
    (
        "`overrides[].when`",
        "mapping",
        "*required*",
        "Conditions that a cell must meet: a value, or a list of possible values, for each key.",
        "`{train.steps: 2500, student.n_feats: 8}`",
    ),
    (
        "`overrides[].set`",
        "mapping",
        "*required*",
        "Keys and values that such a cell has.",
        "`{seeds: [0, 1, 2, 3, 4, 5]}`",
    ),
)


def pages() -> dict[str, str]:
    """Return the Markdown of the reference, by path."""
    parts = [INTRODUCTION]
    for title, (prefix, spec) in SECTIONS.items():
        parts += [f"## {title}", *filter(None, [NOTES.get(title)]), keys(prefix, spec)]
    parts += ["## Grid", GRID, table(HEAD, GRID_KEYS)]
    return {PATH: "\n\n".join(parts) + "\n"}


def keys(prefix: str, spec: type[Spec]) -> str:
    """Return a table of a spec's keys; what srkd fills in by itself, without an example, is left out."""
    said = meanings(spec)
    rows = [
        (
            f"`{prefix}.{name}`" if prefix else f"`{name.replace('student_init', 'student.init')}`",
            kind(field),
            "*required*" if field.is_required() else f"`{default(field)}`",
            said[name].replace("|", "\\|"),
            f"`{flow(field.examples[0])}`",
        )
        for name, field in spec.model_fields.items()
        if field.examples
    ]
    return table(HEAD, rows)


def meanings(spec: type[Spec]) -> dict[str, str]:
    """Return by field the docstring below it, on one line. Pydantic would read them at each start of srkd."""
    (body,) = (
        node.body for node in ast.parse(inspect.getsource(spec)).body if isinstance(node, ast.ClassDef)
    )
    return {
        field.target.id: " ".join(below.value.value.split())
        for field, below in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if isinstance(below.value.value, str)
    }


def hint(field: FieldInfo) -> Any:
    """Return the type of a field with its bounds."""
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def kind(field: FieldInfo) -> str:
    """Return in words what a field takes."""
    if inspect.isclass(field.annotation) and issubclass(field.annotation, Spec):
        return "mapping"
    schema = TypeAdapter(hint(field)).json_schema()
    choices = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    return " or ".join(_words(one) for one in choices)


def _words(schema: dict[str, Any]) -> str:
    if schema.get("type") == "array":
        least = ", not empty" if schema.get("minItems") else ""
        each = schema.get("items") or schema["prefixItems"][0]
        return f"list: {_words(each)}{least}"
    return bounds(schema) or "mapping"  # networks have no schema: a function distinguishes their kinds


def default(field: FieldInfo) -> str:
    """Return a field's default as a suite would have it."""
    value = field.default
    if value is None or isinstance(value, Spec):
        return "–"
    if isinstance(value, (list, tuple, dict)):
        return flow(list(value) if isinstance(value, tuple) else value)
    return written(value)


def flow(value: Any) -> str:
    """Return a value as one line of YAML."""
    return (
        yaml.safe_dump(value, default_flow_style=True, width=1000, sort_keys=False)
        .removesuffix("\n...\n")
        .strip()
    )
