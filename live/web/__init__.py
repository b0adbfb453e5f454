"""The live page: what the camera sees, in a browser and for programs."""

from br2net.live.web.options import DEFAULT_PORT, About, Recorder, WebOptions
from br2net.live.web.page import WebPage

__all__ = ["DEFAULT_PORT", "About", "Recorder", "WebOptions", "WebPage"]
