"""A picture of each alert."""

import re
from pathlib import Path

from br2net.errors import InputError, SinkError
from br2net.live.pipeline.result import FrameResult
from br2net.live.sinks.drawing import Drawing
from br2net.runtime.images import write_png


class AlertImages:
    """Writes the overlay of the frame at which an alert comes on, as `<camera>-<frame>-<alert>.png`."""

    def __init__(self, folder: Path, drawing: Drawing | None = None) -> None:
        """Write into `folder`, which is made when there is something to write."""
        self._folder = folder
        self._drawing = drawing or Drawing()
        self._on: dict[str, frozenset[str]] = {}

    def write(self, result: FrameResult) -> None:
        """Write a picture for each alert that was not on at the camera's frame before.

        Raises:
            SinkError: if it cannot be written, as on a full disk.
        """
        before = self._on.get(result.camera, frozenset())
        self._on[result.camera] = frozenset(result.alerts)
        for alert in sorted(set(result.alerts) - before):
            name = f"{_plain(result.camera)}-{result.index:06d}-{_plain(alert)}.png"
            try:
                write_png(self._folder / name, self._drawing.draw(result))
            except InputError as error:
                raise SinkError(f"{str(error).removesuffix('.')}; no more pictures of alerts are written.") from error

    def close(self) -> None:
        """Nothing is held open."""
        self._on.clear()


def _plain(text: str) -> str:
    """The text as part of a file name: letters, digits and dots, at most 40 of them."""
    return re.sub(r"[^\w.]+", "_", text).strip("_.")[:40] or "alert"
