"""What is known of one camera: its newest result, its rate, its last minutes."""

import time
from collections import deque
from dataclasses import dataclass

from br2net.live.pipeline.result import FrameResult

HISTORY_STEP_S = 0.5
HISTORY_S = 900.0
RATE_WEIGHT = 0.05


@dataclass(frozen=True)
class History:
    """Means of the blurred fraction over half seconds.

    Attributes:
        timestamps: of the ends of these, seconds since the epoch.
        fractions: 0..1, one for each timestamp.
    """

    timestamps: tuple[float, ...]
    fractions: tuple[float, ...]


class Channel:
    """One camera's part of the hub. Whoever calls holds the hub's lock."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.newest: FrameResult | None = None
        self.sequence = 0
        self.packet = b""
        self.packet_sequence = 0
        self.fps = 0.0
        self._arrived_s: float | None = None
        self._means: deque[tuple[float, float]] = deque(maxlen=round(HISTORY_S / HISTORY_STEP_S))
        self._sum, self._count, self._step_from = 0.0, 0, 0.0

    def take(self, result: FrameResult) -> None:
        """Note one result."""
        now = time.monotonic()
        if self._arrived_s is not None and now > self._arrived_s:
            rate = 1 / (now - self._arrived_s)
            self.fps = rate if self.fps == 0 else 1 / ((1 - RATE_WEIGHT) / self.fps + RATE_WEIGHT / rate)
        self._arrived_s = now
        self.newest = result
        self.sequence += 1
        if not self._count:
            self._step_from = result.timestamp
        self._sum += result.blurred_fraction
        self._count += 1
        if not 0 <= result.timestamp - self._step_from < HISTORY_STEP_S:
            self._means.append((result.timestamp, self._sum / self._count))
            self._sum, self._count = 0.0, 0

    def seconds_without(self) -> float | None:
        """Seconds since the last result; None before the first."""
        return None if self._arrived_s is None else time.monotonic() - self._arrived_s

    def history(self) -> History:
        """The last fifteen minutes."""
        return History(tuple(t for t, _ in self._means), tuple(round(v, 4) for _, v in self._means))
