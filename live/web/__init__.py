"""The live page: what the camera sees, in a browser, and metrics for programs."""

from br2net.live.web.options import DEFAULT_PORT, PageInfo, WebOptions
from br2net.live.web.page import WebPage

__all__ = ["DEFAULT_PORT", "PageInfo", "WebOptions", "WebPage"]
