"""What a list of samples says: percentiles, how much it scattered, and how sure its median is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LARGEST_CV = 0.025  # above this a run counts as unstable
BLOCKS = 10


@dataclass(frozen=True)
class Distribution:
    """Milliseconds of one stage over all counted iterations.

    Attributes:
        samples: how many.
        p50, p90, p95, p99: percentiles; None where there are too few samples beyond for the figure to mean anything
            (fewer than 10, 20, 100).
        cv: coefficient of variation, standard deviation over mean; None for a single sample.
        median_error: standard error of the median, from the medians of blocks of consecutive samples, so that slow
            drift counts; None for fewer than four samples.
    """

    samples: int
    mean: float
    min: float
    max: float
    p50: float
    p90: float | None
    p95: float | None
    p99: float | None
    cv: float | None
    median_error: float | None


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as the other: the median over the rounds, and the 10th and 90th percentile of them."""

    median: float
    low: float
    high: float
    rounds: int


def describe(samples: Sequence[float]) -> Distribution:
    """Summarise samples, in the order in which they were taken. There has to be at least one."""
    values = np.asarray(samples, np.float64)
    mean = float(values.mean())
    return Distribution(
        samples=len(values),
        mean=mean,
        min=float(values.min()),
        max=float(values.max()),
        p50=float(np.median(values)),
        p90=_percentile(values, 90, 10),
        p95=_percentile(values, 95, 20),
        p99=_percentile(values, 99, 100),
        cv=float(values.std(ddof=1) / mean) if len(values) > 1 and mean > 0.0 else None,
        median_error=_median_error(values),
    )


def speed_up(slow: Sequence[float], fast: Sequence[float]) -> Ratio:
    """Compare medians of the same rounds: `slow / fast`, round by round. Both hold one number for each round."""
    rounds = min(len(slow), len(fast))
    ratios = np.asarray(slow[:rounds], np.float64) / np.asarray(fast[:rounds], np.float64)
    low, median, high = (float(value) for value in np.percentile(ratios, [10, 50, 90]))
    return Ratio(median, low, high, rounds)


def _percentile(values: NDArray[np.float64], percent: float, at_least: int) -> float | None:
    return float(np.percentile(values, percent)) if len(values) >= at_least else None


def _median_error(values: NDArray[np.float64]) -> float | None:
    """Blocks of consecutive samples are nearly independent of one another, single samples are not."""
    if len(values) < 4:
        return None
    blocks = np.array_split(values, min(BLOCKS, len(values) // 2))
    medians = np.array([np.median(block) for block in blocks])
    return float(medians.std(ddof=1) / np.sqrt(len(medians)))
