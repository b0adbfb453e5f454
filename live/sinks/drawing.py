"""What is drawn of a result: the overlay, focus peaking, regions."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2

from br2net.live.pipeline.peaking import focus_peaking
from br2net.live.pipeline.regions import Region
from br2net.live.pipeline.result import FrameResult
from br2net.runtime.postprocessing import DEFAULT_OPACITY, overlay
from br2net.types import Frame

LINE_BGR = (255, 255, 255)


@dataclass
class Drawing:
    """Draws results; sinks that share one draw each result once. For one thread.

    Attributes:
        opacity: of the tint of what is blurred, 0..1.
        peaking: whether edges in focus are marked.
        regions: to outline.
    """

    opacity: float = DEFAULT_OPACITY
    peaking: bool = False
    regions: Sequence[Region] = ()
    _last: FrameResult | None = field(default=None, repr=False)
    _picture: Frame | None = field(default=None, repr=False)

    def draw(self, result: FrameResult) -> Frame:
        """The frame with what was found in it: uint8 `(H, W, 3)` BGR, shared, not to be written to."""
        if self._picture is None or self._last is not result:
            self._picture = self._draw(result)
            self._last = result
        return self._picture

    def _draw(self, result: FrameResult) -> Frame:
        picture = overlay(result.frame, result.map, self.opacity)
        if self.peaking:
            picture = focus_peaking(picture, result.frame, result.map)
        height, width = result.map.shape
        for region in self.regions:
            if region.name in result.regions:
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
