"""What a run of the pipeline amounted to, in memory that does not grow with it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from br2net.live.camera.camera import CameraStatistics
from br2net.live.pipeline.result import FrameResult, StageTimes

SMALLEST_MS, STEP, BINS = 0.05, 1.02, 800  # up to 0.05 * 1.02^800 ms = 6 minutes, each bin 2 % wide


class Latencies:
    """Percentiles of any number of latencies, within 1 %, from a histogram of fixed size."""

    def __init__(self) -> None:
        self._counts = np.zeros(BINS, np.int64)

    def add(self, latency_ms: float) -> None:
        """Count one latency."""
        position = int(math.log(max(latency_ms, SMALLEST_MS) / SMALLEST_MS) / math.log(STEP))
        self._counts[min(position, BINS - 1)] += 1

    def percentile(self, share: float) -> float:
        """Latency in milliseconds that `share` (0..1) of the frames do not exceed; 0 without frames."""
        total = int(self._counts.sum())
        if total == 0:
            return 0.0
        position = int(np.searchsorted(np.cumsum(self._counts), share * total))
        return float(SMALLEST_MS * STEP ** (position + 0.5))


@dataclass(frozen=True)
class Summary:
    """What a run amounted to.

    Attributes:
        frames: that reached the sinks.
        seconds: from the capture of the first of them until the last was done.
        fps: of them, a second.
        dropped: frames replaced by newer ones before they were computed, over all cameras.
        skipped: frames left out evenly, since the device did not keep up.
        damaged: frames that could not be decoded.
        reconnects: how often lost sources came back.
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


class Tally:
    """Counts results as they reach the sinks. One thread adds; `summary` may be asked from any."""

    def __init__(self) -> None:
        self._latencies = Latencies()
        self._frames = 0
        self._began = self._last = 0.0
        self._sums = (0.0, 0.0, 0.0, 0.0)

    @property
    def frames(self) -> int:
        """Results so far."""
        return self._frames

    def add(self, result: FrameResult, now: float) -> None:
        """Count a result that reaches the sinks at `now` (seconds of `time.perf_counter`)."""
        self._began = self._began if self._frames else now - result.latency_ms / 1000.0
        self._last = now
        self._frames += 1
        self._latencies.add(result.latency_ms)
        times = _in_order(result.stages)
        self._sums = (
            self._sums[0] + times[0],
            self._sums[1] + times[1],
            self._sums[2] + times[2],
            self._sums[3] + times[3],
        )

    def summary(self, cameras: Mapping[str, CameraStatistics]) -> Summary:
        """Give the figures up to now."""
        seconds = self._last - self._began
        every = cameras.values()
        names = ("capture_ms", "preprocess_ms", "inference_ms", "postprocess_ms")
        return Summary(
            frames=self._frames,
            seconds=seconds,
            fps=self._frames / seconds if seconds > 0.0 else 0.0,
            dropped=sum(item.dropped for item in every),
            skipped=sum(item.skipped for item in every),
            damaged=sum(item.damaged for item in every),
            reconnects=sum(item.reconnects for item in every),
            latency={f"p{share}_ms": self._latencies.percentile(share / 100.0) for share in (50, 95, 99)},
            stages={name: total / max(self._frames, 1) for name, total in zip(names, self._sums, strict=True)},
            cameras=cameras,
        )


def _in_order(times: StageTimes) -> tuple[float, float, float, float]:
    return times.capture, times.preprocess, times.inference, times.postprocess
