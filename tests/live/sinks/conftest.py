from collections.abc import Callable

import numpy as np
import pytest

from br2net.live.pipeline import FrameResult
from tests.live.results import frame_result

ResultMaker = Callable[..., FrameResult]


@pytest.fixture
def make_result() -> ResultMaker:
    """Makes results of a plain frame of a given brightness, the left half of it blurred."""

    def make(
        index: int = 0,
        timestamp: float = 0.0,
        level: int = 120,
        size: tuple[int, int] = (96, 64),
        camera: str = "cam",
        alerts: tuple[str, ...] = (),
        regions: dict[str, float] | None = None,
    ) -> FrameResult:
        width, height = size
        blur = np.zeros((height, width), np.float32)
        blur[:, : width // 2] = 1.0
        frame = np.full((height, width, 3), level, np.uint8)
        regions = regions or {}
        return frame_result(
            frame,
            blur,
            camera=camera,
            index=index,
            timestamp=timestamp,
            alerts=alerts,
            regions=regions,
            region_sharpness=dict.fromkeys(regions, 0.25),
        )

    return make
