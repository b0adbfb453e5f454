"""Figures of a run of the pipeline, in memory that does not grow with it."""

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field

import numpy as np

from br2net.live.camera import CameraStatistics
from br2net.live.pipeline.result import FrameResult

SMALLEST_MS, STEP, BINS = 0.05, 1.02, 800  # up to 0.05 * 1.02^800 ms = 6 minutes, each bin 2 % wide
STAGES = ("capture_ms", "preprocess_ms", "inference_ms", "postprocess_ms")


@dataclass(frozen=True)
class Summary:
    """What a run amounted to.

    Attributes:
        frames: that reached the sinks.
        seconds: from the capture of the first of them until the last was done.
        fps: frames a second.
        dropped: frames replaced by newer ones before they were computed, over all cameras.
        skipped: frames left out evenly, since the device did not keep up.
        damaged: frames that could not be decoded.
        reconnects: number of times that lost sources came back.
        latency: p50_ms, p95_ms, p99_ms from capture to sink.
        stages: mean milliseconds a frame: capture_ms, preprocess_ms, inference_ms, postprocess_ms.
        cameras: the figures of each camera, by name.
    """

    frames: int
    seconds: float
    fps: float
    dropped: int
    skipped: int
    damaged: int
    reconnects: int
    latency: Mapping[str, float]
    stages: Mapping[str, float]
    cameras: Mapping[str, CameraStatistics] = field(default_factory=dict)


class RunStats:
    """Counts results as they reach the sinks. One thread adds; `summary` may be asked from any.

    Latencies go into a histogram of fixed size, whose percentiles are right within 1 %.
    """

    def __init__(self) -> None:
        self.frames = 0
        self._latencies = np.zeros(BINS, np.int64)
        self._sums = np.zeros(len(STAGES))
        self._began = self._last = 0.0

    def add(self, result: FrameResult, now: float) -> None:
        """Count a result that reaches the sinks at `now` (seconds of `time.perf_counter`)."""
        self._began = self._began if self.frames else now - result.latency_ms / 1000.0
        self._last = now
        self.frames += 1
        position = int(math.log(max(result.latency_ms, SMALLEST_MS) / SMALLEST_MS) / math.log(STEP))
        self._latencies[min(position, BINS - 1)] += 1
        self._sums += astuple(result.stages)

    def summary(self, cameras: Mapping[str, CameraStatistics]) -> Summary:
        """Return the figures up to now."""
        seconds = self._last - self._began
        every = cameras.values()
        means = self._sums / max(self.frames, 1)
        return Summary(
            frames=self.frames,
            seconds=seconds,
            fps=self.frames / seconds if seconds > 0.0 else 0.0,
            dropped=sum(item.dropped for item in every),
            skipped=sum(item.skipped for item in every),
            damaged=sum(item.damaged for item in every),
            reconnects=sum(item.reconnects for item in every),
            latency={f"p{share}_ms": self._percentile(share / 100.0) for share in (50, 95, 99)},
            stages=dict(zip(STAGES, means.tolist(), strict=True)),
            cameras=cameras,
        )

    def _percentile(self, share: float) -> float:
        """Latency in milliseconds that `share` (0..1) of the frames do not exceed; 0 without frames."""
        counts = np.cumsum(self._latencies)
        if counts[-1] == 0:
            return 0.0
        return float(SMALLEST_MS * STEP ** (int(np.searchsorted(counts, share * counts[-1])) + 0.5))
