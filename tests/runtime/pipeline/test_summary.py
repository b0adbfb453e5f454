import numpy as np
import pytest

from br2net.runtime.pipeline.summary import Latencies


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
