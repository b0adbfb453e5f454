"""A frame as a camera hands it over."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class CapturedFrame:
    """One frame and when it was captured.

    Attributes:
        camera: name of the source.
        index: number in the source, from 0. Frames that were dropped or skipped keep theirs.
        timestamp: seconds since the epoch. Live: when the frame arrived. File: when it was opened, plus the position in it.
        frame: uint8 `(H, W, 3)` BGR; it belongs to whoever takes it.
        captured_at: when the frame arrived (live) or its reading began (file), by `time.perf_counter`.
        capture_ms: from then until it was decoded, sized and turned.
    """

    camera: str
    index: int
    timestamp: float
    frame: NDArray[np.uint8]
    captured_at: float
    capture_ms: float
