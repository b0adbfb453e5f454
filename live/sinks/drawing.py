"""What is drawn of a result: the overlay, focus peaking, regions; and pictures of alerts as files."""

import re
from collections.abc import Sequence
from pathlib import Path

import cv2

from br2net.errors import InputError, SinkError
from br2net.live.pipeline import FrameResult, Region, focus_peaking
from br2net.runtime.images import write_png
from br2net.runtime.postprocessing import DEFAULT_OPACITY, Wanted, overlay
from br2net.types import Frame

LINE_BGR = (255, 255, 255)


class Drawing:
    """Draws results; sinks that share a drawing draw each result once. For one thread.

    Attributes:
        wanted: outputs that a sink needs to draw.
    """

    def __init__(
        self, opacity: float = DEFAULT_OPACITY, *, peaking: bool = False, regions: Sequence[Region] = ()
    ) -> None:
        """Set up what is drawn.

        Args:
            opacity: opacity of the tint of blurred parts, 0..1.
            peaking: True if edges in focus are marked.
            regions: regions to outline.
        """
        self._opacity, self._peaking, self._regions = opacity, peaking, tuple(regions)
        self._last: FrameResult | None = None
        self._picture: Frame | None = None
        self.wanted = Wanted.MAP if peaking or opacity != DEFAULT_OPACITY else Wanted.OVERLAY

    def draw(self, result: FrameResult) -> Frame:
        """The frame with what was found in it: uint8 `(H, W, 3)` BGR, shared, not to be written to."""
        if self._picture is None or self._last is not result:
            self._picture = self._draw(result)
            self._last = result
        return self._picture

    def _draw(self, result: FrameResult) -> Frame:
        picture = result.outputs.overlay if self.wanted is Wanted.OVERLAY else None
        if picture is None:
            picture = overlay(result.frame, result.map, self._opacity)
        if self._peaking:
            picture = focus_peaking(picture, result.frame, result.map)
        width, height = result.captured.size
        outlined = [region for region in self._regions if region.name in result.regions]
        if outlined and not picture.flags.writeable:
            picture = picture.copy()
        for region in outlined:
            rows, columns = region.slices(width, height)
            corners = (columns.start, rows.start), (columns.stop - 1, rows.stop - 1)
            cv2.rectangle(picture, *corners, LINE_BGR, max(1, width // 400))
            text = f"{region.name} {result.regions[region.name]:.0%}"
            write_text(picture, text, (columns.start + 4, min(rows.start + 16 + width // 60, height - 4)))
        return picture


def write_text(picture: Frame, text: str, place: tuple[int, int]) -> None:
    """Write a line into a picture, white on a dark rim, sized to the picture; `place` is its lower left corner."""
    scale = max(0.4, picture.shape[1] / 1600.0)
    for colour, thickness in (((0, 0, 0), 3), (LINE_BGR, 1)):
        cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA)


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
