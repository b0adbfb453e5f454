"""Pieces of a self-contained page."""

from collections.abc import Sequence
from importlib import resources
from typing import Any


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


def render(package: str, template: str, **values: Any) -> str:
    """Fill a Jinja2 template of a package. Values are escaped for HTML, except those of type `markupsafe.Markup`.

    Args:
        package: import name of the package that holds the template, for example `br2net.calibration`.
        template: file name of the template.
        values: names of the template, and what they stand for.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader(package, "")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template(template).render(values)
