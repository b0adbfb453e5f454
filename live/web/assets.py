"""The files of the page, read once at the start: no path of an address ever becomes one of the file system."""

from dataclasses import dataclass
from importlib.resources import files

TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
NAMES = ("live.html", "live.css", "live.js", "overlay.js", "chart.js", "login.html", "icon.svg")


@dataclass(frozen=True)
class Asset:
    """One file: its content and media type."""

    content: bytes
    media_type: str


def read_assets() -> dict[str, Asset]:
    """All files of the page by name."""
    folder = files("br2net.live.web") / "static"
    return {name: Asset((folder / name).read_bytes(), TYPES[name.rpartition(".")[2]]) for name in NAMES}
