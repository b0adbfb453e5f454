"""Self-contained HTML pages from Jinja2 templates."""

from importlib import resources
from typing import Any

from markupsafe import Markup

PACKAGE = "br2net.benchmarks.report"


def style() -> Markup:
    """Return the style sheet of every report: light, dark and printed."""
    return Markup(resources.files(PACKAGE).joinpath("style.css").read_text(encoding="utf-8"))


def render(package: str, template: str, **values: Any) -> str:
    """Fill a Jinja2 template of a package. Values are escaped for HTML, except those of type `markupsafe.Markup`.

    The template may extend `layout.html` and import `macros.html` of this package.

    Args:
        package: import name of the package that holds the template, for example `br2net.calibration`.
        template: file name of the template.
        values: names of the template, and what they stand for.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loader = ChoiceLoader([PackageLoader(package, ""), PackageLoader(PACKAGE, "")])
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(values)
