"""Where results go: files, a window, whatever has `write` and `close`."""

from br2net.runtime.sinks.sink import Sink

__all__ = ["Sink"]
