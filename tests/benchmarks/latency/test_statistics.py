"""Percentiles and ratios, against NumPy, SciPy's definition of them and hand-made samples."""

import statistics

import numpy as np
import pytest

from br2net.benchmarks.latency.statistics import describe, speed_up


def test_describe_agrees_with_the_standard_library() -> None:
    samples = list(np.random.default_rng(0).gamma(9.0, 2.0, 400))
    found = describe(samples)
    cuts = statistics.quantiles(samples, n=100, method="inclusive")
    assert found.samples == 400
    assert (found.p50, found.p90, found.p95, found.p99) == pytest.approx((cuts[49], cuts[89], cuts[94], cuts[98]))
    assert found.cv == pytest.approx(statistics.stdev(samples) / statistics.mean(samples))
    assert (found.min, found.max) == (min(samples), max(samples))


def test_one_sample_has_no_spread_and_no_percentile_beyond_its_median() -> None:
    found = describe([7.0])
    assert (found.p50, found.min, found.max, found.mean) == (7.0, 7.0, 7.0, 7.0)
    assert found.cv is found.median_error is found.p90 is found.p99 is None


def test_a_percentile_needs_a_sample_beyond_it() -> None:
    assert describe([1.0] * 99).p99 is None
    assert describe([1.0] * 100).p99 == 1.0


def test_error_of_the_median_is_that_of_repeated_draws() -> None:
    rng = np.random.default_rng(1)
    draws = [rng.normal(100.0, 5.0, 200) for _ in range(200)]
    spread_of_medians = float(np.std([np.median(draw) for draw in draws]))
    told = float(np.mean([describe(list(draw)).median_error or 0.0 for draw in draws]))
    assert told == pytest.approx(spread_of_medians, rel=0.25)


def test_slow_drift_makes_the_median_less_sure() -> None:
    steady = [100.0 + (index % 2) for index in range(200)]
    drifting = [100.0 + index / 10.0 for index in range(200)]
    assert (describe(drifting).median_error or 0.0) > 5 * (describe(steady).median_error or 0.0)


def test_speed_up_is_taken_round_by_round() -> None:
    slow, fast = [100.0, 200.0, 300.0, 400.0], [50.0, 100.0, 150.0, 100.0]  # the machine drifts; one round is odd
    ratio = speed_up(slow, fast)
    assert ratio.median == 2.0
    assert ratio.high == pytest.approx(np.percentile([2, 2, 2, 4], 90))
    assert ratio.rounds == 4
