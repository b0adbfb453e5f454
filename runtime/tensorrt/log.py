"""TensorRT's log, kept, so that an error can show what TensorRT said."""

import functools
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from br2net.runtime.tensorrt.api import trt

_KEPT = 2000  # lines; an INFO log of a large build has some hundreds


class KeptLog(trt.ILogger):
    """Keeps TensorRT's messages of INFO and worse instead of printing them."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self._lines: deque[str] = deque(maxlen=_KEPT)

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        """Called by TensorRT, from any thread."""
        if severity != trt.ILogger.Severity.VERBOSE:
            self._lines.append(f"{severity.name.replace('_', ' ')}: {msg.strip()}")

    @contextmanager
    def section(self) -> Iterator[None]:
        """Forget what was logged before the block, so that `lines` belongs to it."""
        self._lines.clear()
        yield

    def lines(self) -> tuple[str, ...]:
        """What was logged since the current section began."""
        return tuple(self._lines)

    def errors(self) -> tuple[str, ...]:
        """The messages of ERROR and INTERNAL ERROR alone, without that word."""
        return tuple(line.split(": ", 1)[1] for line in self._lines if "ERROR" in line.split(": ", 1)[0])


@functools.cache
def kept_log() -> KeptLog:
    """The log of this process: TensorRT holds on to the first logger that it is given and ignores later ones."""
    return KeptLog()
