"""What the pipeline hands to its sinks for one frame."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class StageTimes:
    """Milliseconds that one frame spent in each stage; in a batch, its share.

    Attributes:
        capture: reading and decoding, size and rotation included.
        preprocess: frame to network input.
        inference: network input to map.
        postprocess: map to frame size, its figures, the overlays.
    """

    capture: float
    preprocess: float
    inference: float
    postprocess: float


@dataclass(frozen=True, eq=False)
class FrameResult:
    """One frame with what was found in it. Sinks share it, so nothing in it may be written to.

    Attributes:
        camera: name of the source.
        index: number of the frame in its source, from 0; frames that were dropped keep theirs.
        timestamp: seconds since the epoch when the frame was captured.
        frame: uint8 `(H, W, 3)` BGR.
        map: float32 `(H, W)`, 0 = in focus, 1 = blurred.
        blurred_fraction: share of the pixels whose map is at least 0.5, 0..1.
        regions: the same for each named region.
        sharpness: focus score; larger is sharper. It compares frames of one scene, for autofocus.
        latency_ms: capture to sink.
        stages: where that time went.
        alerts: texts of the alerts that are on at this frame.
        region_sharpness: focus score of each named region.
    """

    camera: str
    index: int
    timestamp: float
    frame: NDArray[np.uint8]
    map: NDArray[np.float32]
    blurred_fraction: float
    regions: Mapping[str, float]
    sharpness: float
    latency_ms: float
    stages: StageTimes
    alerts: tuple[str, ...] = ()
    region_sharpness: Mapping[str, float] = field(default_factory=dict)
