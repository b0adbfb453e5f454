"""The interface of a sink."""

from typing import Protocol

from br2net.live.pipeline.result import FrameResult


class Sink(Protocol):
    """Takes results, one at a time, from one thread."""

    def write(self, result: FrameResult) -> None:
        """Take one result. What it holds may be kept, and must not be written to.

        Raises:
            SinkError: if the sink cannot go on; the pipeline says so once, closes it and goes on without it.
        """
        ...

    def close(self) -> None:
        """Finish what was begun, so that files are whole. Closing twice does no harm."""
        ...
