"""Captured frames, and the buffer between the thread that captures and the thread that takes them."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from br2net.live.camera.options import BufferPolicy
from br2net.runtime.preprocessing import to_bgr
from br2net.types import Frame, Grey, PixelFormat

# BT.601 luma of 16..235 to brightness of 0..255: what BGR2GRAY gives of the converted picture, but for its rounding.
LUMA_TO_GREY = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class CapturedFrame:
    """One frame and when it was captured.

    Attributes:
        camera: name of the source.
        index: number in the source, from 0. Frames that were dropped or skipped keep theirs.
        timestamp: seconds since the epoch. Live: when the frame arrived. File: when it was opened, plus the position in it.
        data: uint8, as the camera delivered it, in the layout `pixels`; it belongs to whoever takes it.
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


class FrameBuffer:
    """A bounded queue of frames with a named policy. One thread puts; any may take."""

    def __init__(self, size: int, policy: BufferPolicy, ready: Callable[[], None]) -> None:
        """Hold at most `size` frames; `ready` is called after each frame and at the end."""
        self._frames: deque[CapturedFrame] = deque()
        self._size = size
        self._policy = policy
        self._ready = ready
        self._changed = threading.Condition()
        self._ended = False
        self.dropped = 0
        self.wanted = False  # set when somebody first takes: what came before was not lost to anybody

    def put(self, frame: CapturedFrame) -> bool:
        """Add a frame by the policy; False if the buffer was ended and the frame is not in it."""
        with self._changed:
            if self._policy is BufferPolicy.WAIT:
                self._changed.wait_for(lambda: self._ended or len(self._frames) < self._size)
            if self._ended:
                return False
            if len(self._frames) >= self._size:
                self._frames.popleft()
                self.dropped += self.wanted
            self._frames.append(frame)
            self._changed.notify_all()
        self._ready()
        return True

    def take(self, timeout_s: float | None = 0.0) -> CapturedFrame | None:
        """Take the oldest frame; wait for one at most `timeout_s` (None: until the end). None if there is none."""
        with self._changed:
            self.wanted = True
            self._changed.wait_for(lambda: self._ended or bool(self._frames), timeout_s)
            if not self._frames:
                return None
            frame = self._frames.popleft()
            self._changed.notify_all()
            return frame

    def end(self, discard: bool = False) -> None:
        """Take no more frames; those inside can still be taken unless `discard`."""
        with self._changed:
            self._ended = True
            if discard:
                self._frames.clear()
            self._changed.notify_all()
        self._ready()

    @property
    def exhausted(self) -> bool:
        """Whether it was ended and is empty: no frame will ever come again."""
        with self._changed:
            return self._ended and not self._frames
