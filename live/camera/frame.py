"""Captured frames, in the pixel format of the camera."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from br2net.runtime.preprocessing import to_bgr
from br2net.types import Frame, Grey, PixelFormat

# BT.601 luma of 16..235 to brightness of 0..255: what BGR2GRAY gives of the converted picture, up to rounding.
LUMA_TO_GREY = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class CapturedFrame:
    """One frame and when it was captured.

    Attributes:
        camera: name of the source.
        index: number in the source, from 0. Frames that were dropped or skipped keep theirs.
        timestamp: seconds since the epoch. Live: when the frame arrived. File: when it was opened, plus the position in it.
        data: uint8, as the camera delivered it, in the layout `pixels`; the taker may change it.
        captured_at: when the frame arrived (live) or its reading began (file), by `time.perf_counter`.
        capture_ms: from then until it was decoded, sized and turned.
        pixels: pixel format of `data`.
    """

    camera: str
    index: int
    timestamp: float
    data: Frame
    captured_at: float
    capture_ms: float
    pixels: PixelFormat = PixelFormat.BGR

    @cached_property
    def frame(self) -> Frame:
        """The picture: uint8 `(H, W, 3)` BGR, converted when it is first read."""
        return to_bgr(self.data, self.pixels)

    @cached_property
    def grey(self) -> Grey:
        """Brightness: uint8 `(H, W)`. Of NV12 and YUYV the luma, scaled to 0..255; no picture is made for it."""
        if self.pixels is PixelFormat.BGR:
            return np.asarray(cv2.cvtColor(self.data, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
        luma = self.data[: self.size[1]] if self.pixels is PixelFormat.NV12 else self.data[..., 0]
        return np.asarray(cv2.LUT(luma, LUMA_TO_GREY), dtype=np.uint8)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self.pixels.size_of(self.data)
