"""Results made up for tests of sinks, alerts and the page."""

from collections.abc import Mapping
from typing import Any

from br2net.live.camera import CapturedFrame
from br2net.live.pipeline import FrameResult, StageTimes
from br2net.runtime.postprocessing import Outputs
from br2net.types import Frame, Map


def frame_result(
    frame: Frame, map: Map, *, camera: str = "cam", index: int = 0, timestamp: float = 0.0, **fields: Any
) -> FrameResult:
    """Make a result of a frame and its map; other fields have values of their own unless given."""
    captured = CapturedFrame(camera, index, timestamp, frame, 0.0, 1.0)
    values: Mapping[str, Any] = {
        "blurred_fraction": 0.5,
        "regions": {},
        "sharpness": 0.125,
        "latency_ms": 12.3456,
        "stages": StageTimes(1.0, 2.0, 3.0, 4.0),
    }
    return FrameResult(captured, Outputs(map=map), **(dict(values) | fields))
