"""The few frames between the thread that captures and whoever takes them."""

import threading
from collections import deque
from collections.abc import Callable
from enum import Enum

from br2net.live.camera.frame import CapturedFrame


class BufferPolicy(Enum):
    """What happens when a frame arrives and the buffer is full."""

    DROP_OLDEST = "oldest"
    """The oldest frame is dropped: what is taken is always recent. For live sources."""
    WAIT = "wait"
    """Capturing waits until a frame is taken: none is lost. For files."""


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
        """Add a frame, by the policy; False if the buffer was ended meanwhile and the frame is not in it."""
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
