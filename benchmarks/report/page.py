"""Pieces of a self-contained page."""

from collections.abc import Sequence
from importlib import resources


def style() -> str:
    """The style sheet of every report: light, dark and printed."""
    return resources.files("br2net.benchmarks.report").joinpath("style.css").read_text(encoding="utf-8")


def table(heading: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """An HTML table whose cells are HTML already; the first column names its row."""
    head = "".join(f"<th>{cell}</th>" for cell in heading)
    body = "".join(
        f"<tr><th>{cells[0]}</th>" + "".join(f"<td>{cell}</td>" for cell in cells[1:]) + "</tr>" for cells in rows
    )
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )
