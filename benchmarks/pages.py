"""What all report pages share: their style sheet, in light, dark and print."""

from importlib import resources


def page_style() -> str:
    """The style sheet, to stand in the page itself, so that a page needs no other file."""
    return resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8")
