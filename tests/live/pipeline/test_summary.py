import numpy as np
import pytest

from br2net.live.pipeline.result import FrameResult, StageTimes
from br2net.live.pipeline.summary import Latencies, Tally


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_percentiles_are_those_of_numpy_within_two_percent(share: float) -> None:
    samples = np.random.default_rng(0).gamma(3.0, 20.0, 5000)
    latencies = Latencies()
    for sample in samples:
        latencies.add(float(sample))
    assert latencies.percentile(share) == pytest.approx(np.quantile(samples, share), rel=0.02)


def test_latencies_beyond_the_histogram_count_at_its_ends() -> None:
    latencies = Latencies()
    latencies.add(0.0)
    latencies.add(1e12)
    assert 0.0 < latencies.percentile(0.5) < 0.1
    assert latencies.percentile(1.0) > 1e5


def test_the_rate_counts_from_the_capture_of_the_first_frame() -> None:
    frame, blur = np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.float32)
    result = FrameResult("camera", 0, 0.0, frame, blur, 0.0, {}, 0.0, 500.0, StageTimes(1.0, 2.0, 3.0, 4.0))
    tally = Tally()
    tally.add(result, now=10.0)
    assert tally.summary({}).fps == pytest.approx(1 / 0.5)
    tally.add(result, now=11.0)
    assert tally.summary({}).seconds == pytest.approx(1.5)
    assert tally.summary({}).fps == pytest.approx(2 / 1.5)
