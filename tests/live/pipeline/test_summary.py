import numpy as np
import pytest

from br2net.live.pipeline import FrameResult, StageTimes
from br2net.live.pipeline.summary import RunStats
from tests.live.results import frame_result


def result(latency_ms: float) -> FrameResult:
    frame, blur = np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.float32)
    return frame_result(frame, blur, latency_ms=latency_ms, stages=StageTimes(1.0, 2.0, 3.0, latency_ms))


def test_percentiles_are_those_of_numpy_within_two_percent() -> None:
    samples = np.random.default_rng(0).gamma(3.0, 20.0, 5000)
    stats = RunStats()
    for sample in samples:
        stats.add(result(float(sample)), now=0.0)
    for share, found in stats.summary({}).latency.items():
        quantile = int(share.removeprefix("p").removesuffix("_ms")) / 100.0
        assert found == pytest.approx(np.quantile(samples, quantile), rel=0.02)


def test_latencies_beyond_the_histogram_count_at_its_ends() -> None:
    stats = RunStats()
    for latency_ms in (0.0, 0.0, 0.0, 1e12):
        stats.add(result(latency_ms), now=0.0)
    latency = stats.summary({}).latency
    assert 0.0 < latency["p50_ms"] < 0.1
    assert latency["p99_ms"] > 1e5


def test_the_rate_counts_from_the_capture_of_the_first_frame() -> None:
    stats = RunStats()
    assert stats.summary({}).fps == 0.0
    stats.add(result(500.0), now=10.0)
    assert stats.summary({}).fps == pytest.approx(1 / 0.5)
    stats.add(result(300.0), now=11.0)
    assert stats.summary({}).seconds == pytest.approx(1.5)
    assert stats.summary({}).fps == pytest.approx(2 / 1.5)
    assert stats.summary({}).stages == {
        "capture_ms": 1.0,
        "preprocess_ms": 2.0,
        "inference_ms": 3.0,
        "postprocess_ms": 400.0,
    }
