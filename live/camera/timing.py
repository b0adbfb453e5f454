"""Time along a source: timestamps, the rate asked for, and leaving frames out evenly."""

import threading
import time
from math import floor

from br2net.live.camera.options import CameraOptions
from br2net.live.camera.reader import FrameReader

NOMINAL_RATE = 25.0  # of a file that does not say its own
WINDOW_FRAMES = 30
TOO_MANY = 0.15  # share of the frames dropped in a window from which on the device does not keep up
LARGEST_STRIDE = 30
FIRST_QUIET_S = 5.0
LONGEST_QUIET_S = 60.0


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
        """Wait until the next frame of a paced file is due; False if `stop` was set before."""
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


class AdaptiveSkip:
    """Chooses the stride: take every first, second, third … frame.

    When the buffer drops more than 15 % of a window of 30 frames, the stride grows to what the device managed. After five
    seconds without drops a smaller stride is tried; where that fails, the next trial waits twice as long, up to a minute.
    Frames left out evenly look smoother than frames dropped as it comes, and they are not decoded.
    """

    def __init__(self, now: float) -> None:
        self.stride = 1
        self._offered = self._dropped = 0
        self._quiet_since = now
        self._patience_s = FIRST_QUIET_S
        self._trying = False

    def update(self, dropped: int, now: float) -> int:
        """Tell that a frame was put into the buffer, and how many it dropped for that; gives the stride from here on.

        Args:
            dropped: 0 or 1.
            now: seconds, of any clock that does not jump.
        """
        self._offered += 1
        self._dropped += dropped
        if self._offered < WINDOW_FRAMES:
            return self.stride
        share = self._dropped / self._offered
        self._offered = self._dropped = 0
        if share > TOO_MANY:
            self._grow(share, now)
        elif share > 0.0:
            self._quiet_since = now
        elif self._trying and now - self._quiet_since >= self._patience_s / 2:  # the smaller stride has lasted
            self._trying, self._patience_s = False, FIRST_QUIET_S
        elif self.stride > 1 and not self._trying and now - self._quiet_since >= self._patience_s:
            self.stride -= 1
            self._trying = True
            self._quiet_since = now
        return self.stride

    def _grow(self, share: float, now: float) -> None:
        managed = 1.0 - share
        self.stride = min(LARGEST_STRIDE, max(self.stride + 1, round(self.stride / managed)))
        if self._trying:
            self._patience_s = min(LONGEST_QUIET_S, 2.0 * self._patience_s)
        self._trying = False
        self._quiet_since = now
