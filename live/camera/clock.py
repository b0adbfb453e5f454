"""When a frame of a source was, whether it is due, and when the next may be read."""

import threading
import time
from math import floor

from br2net.live.camera.options import CameraOptions
from br2net.live.camera.reader import FrameReader

NOMINAL_RATE = 25.0  # of a file that does not say its own


class SourceClock:
    """Time in one opened source: the wall's for a live one, the position in it for a file."""

    def __init__(self, reader: FrameReader, options: CameraOptions, paced: bool) -> None:
        """Start now; `paced` for a file that is played at its own rate."""
        self._live = reader.live
        self._rate = reader.rate or NOMINAL_RATE
        self._wanted = options.fps if self._live or (options.fps or 0.0) < self._rate else None
        self._paced = paced
        self._frames = 0  # that this clock has seen
        self._slot = -1
        self._started = time.perf_counter()
        self._epoch = time.time()

    def wait(self, stop: threading.Event) -> bool:
        """Wait until the next frame of a paced file is due; False if `stop` was set meanwhile."""
        if not self._paced:
            return True
        delay_s = self._started + self._frames / self._rate - time.perf_counter()
        return not stop.wait(max(0.0, delay_s))

    def timestamp(self) -> float:
        """Seconds since the epoch of the frame just grabbed. Once for each frame."""
        self._frames += 1
        if self._live:
            return time.time()
        return self._epoch + (self._frames - 1) / self._rate

    def is_due(self) -> bool:
        """Whether the frame just grabbed is wanted at the rate asked for. Once for each frame."""
        if self._wanted is None:
            return True
        elapsed_s = time.perf_counter() - self._started if self._live else (self._frames - 1) / self._rate
        slot = floor(elapsed_s * self._wanted + 1e-6)
        if slot <= self._slot:
            return False
        self._slot = slot
        return True
