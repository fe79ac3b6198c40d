"""The table of network costs."""

from srkd_bench.evaluation.results import Results
from srkd_bench.report.tables.table import MISSING, Cell, Table, one_line


def costs(results: Results) -> Table:
    """Return what the networks cost, and how many times smaller than the teacher each student is."""
    teacher = next((network for network in results.networks if network.role == "teacher"), None)
    rows = []
    for network in results.networks:
        smaller = f"{teacher.parameters / network.parameters:.1f}x" if teacher else MISSING
        texts = [
            one_line(f"{network.role.capitalize()}: {network.description}"),
            f"{network.parameters:,}",
            f"{network.multiply_adds / 1e9:,.1f} G",
            smaller if network.role == "student" else MISSING,
        ]
        rows.append([Cell(text) for text in texts])
    return Table(
        title=one_line(f"{results.suite}: networks"),
        header=["", "Parameters", "Multiply-adds", "Compression"],
        rows=rows,
        footnotes=["Multiply-adds are for one SR image of 1280x720 pixels"],
    )
