"""Write tables as LaTeX."""

from srkd_bench.report.tables.table import Cell, Table

STYLES = {0: "{}", 1: r"\textbf{{{}}}", 2: r"\underline{{{}}}"}
LEGEND = r"\textbf{{Bold}}: {}; \underline{{underlined}}: {}"
FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"  # if it is too wide
ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "*": r"$^{*}$",  # bare, it or a bracket would be read as an option of the line break before it
        "[": "{[}",
        "]": "{]}",
        '"': r"\char34{}",
        "`": r"\textasciigrave{}",
        "±": r"$\pm$",
        "–": "--",
        "−": "$-$",
        "×": r"$\times$",
        "…": r"\dots{}",
        **{character: f"\\{character}" for character in "{}&%$#_"},
    }
)


def to_latex(table: Table) -> str:
    """Return a complete `table` environment, its footnotes below the rows."""
    notes = [note.translate(ESCAPES) for note in table.footnotes]
    if table.highlighted:
        notes.append(LEGEND.format(*(text.translate(ESCAPES) for text in table.legend)))
    return "\n".join(
        [
            r"% needs \usepackage{booktabs} and \usepackage{graphicx}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{table.title.translate(ESCAPES)}}}",
            FITTED,
            rf"\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}",
            r"\toprule",
            _line([text.translate(ESCAPES) for text in table.header]),
            r"\midrule",
            *(_line([_cell(cell) for cell in row]) for row in table.rows),
            r"\bottomrule",
            r"\end{tabular}}",
            "",
            r"\footnotesize\raggedright",
            *(rf"{note}\par" for note in notes),
            r"\end{table}",
            "",
        ]
    )


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(cell: Cell) -> str:
    return STYLES[cell.rank].format(cell.text.translate(ESCAPES))
