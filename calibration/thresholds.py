"""Calibration methods: from what flows through a tensor to the largest magnitude that INT8 shall represent."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from br2net.calibration.histograms import BINS, Batch, MagnitudeHistogram, observe
from br2net.calibration.layers import Layer

Method = Literal["mse", "entropy", "percentile", "max"]
METHODS: tuple[Method, ...] = get_args(Method)
LEVELS = 127  # of either sign; -128 stays unused, so that zero is the middle
PERCENTILE = 0.9999
CANDIDATES = 96  # thresholds that `mse` tries
ENTROPY_BINS, ENTROPY_LEVELS, ENTROPY_STEP = 2048, 128, 16

Thresholds = Mapping[str, float]
Histograms = Mapping[str, MagnitudeHistogram]


def measure_histograms(path: Path, layers: Sequence[Layer], batches: Sequence[Batch]) -> Histograms:
    """How often which magnitude flows through each tensor that `layers` read, over a whole calibration set.

    Args:
        path: of the float32 ONNX file.
        layers: of that file.
        batches: preprocessed photographs, float32 `(N, 3, h, w)`.
    """
    histograms = {layer.input: MagnitudeHistogram() for layer in layers}
    observe(path, list(histograms), batches, lambda name, value: histograms[name].add(value))
    return histograms


def find_thresholds(histograms: Histograms, method: Method) -> Thresholds:
    """The largest magnitude to represent of each tensor.

    Args:
        histograms: of the tensors.
        method: `max` takes the largest magnitude seen, `percentile` the one that 99.99 % of the values stay below, `mse`
            the cut of least squared error of the rounded values, `entropy` the one whose rounded values are distributed
            most like the values themselves. All four are those of NVIDIA's calibrators.
    """
    choose = _CHOICES[method]
    return {name: choose(histogram) or histogram.limit for name, histogram in histograms.items()}


def squared_error(histogram: MagnitudeHistogram, threshold: float) -> float:
    """Summed squared error of the values when they are rounded to 127 steps of `threshold` and cut there."""
    if threshold <= 0.0:
        return float("inf")
    centres: NDArray[np.float64] = histogram.centres
    scale = threshold / LEVELS
    rounded = np.clip(np.rint(centres / scale), 0, LEVELS) * scale
    return float((histogram.counts * (centres - rounded) ** 2).sum())


def divergence(counts: NDArray[np.float64], cut: int, levels: int = ENTROPY_LEVELS) -> float:
    """Kullback-Leibler divergence of a histogram cut at bin `cut` from the same in `levels` steps.

    By S. Migacz, "8-bit inference with TensorRT" (GTC 2017): what lies beyond the cut is added to the last bin; a step
    spreads its count evenly over those of its bins that are not empty. Natural logarithm.

    Args:
        counts: of equal bins from 0 on.
        cut: number of bins that are kept, at least `levels`.
        levels: how many steps there are.
    """
    kept = counts[:cut].copy()
    filled = kept > 0.0
    step = np.arange(cut) * levels // cut
    per_step = np.bincount(step, weights=kept, minlength=levels)
    filled_per_step = np.bincount(step, weights=filled, minlength=levels)
    kept[-1] += counts[cut:].sum()
    spread = np.where(filled, per_step[step] / np.maximum(filled_per_step[step], 1.0), 0.0)
    whole, spread_whole = kept.sum(), spread.sum()
    if spread_whole == 0.0:
        return float("inf")
    used = kept > 0.0
    p, q = kept[used] / whole, spread[used] / spread_whole
    return float((p * np.log(p / np.maximum(q, 1e-12))).sum())


def _largest(histogram: MagnitudeHistogram) -> float:
    return histogram.largest


def _percentile(histogram: MagnitudeHistogram) -> float:
    share = np.cumsum(histogram.counts) / max(histogram.counts.sum(), 1.0)
    index = int(np.searchsorted(share, PERCENTILE))
    return min((index + 1) * histogram.limit / BINS, histogram.largest)


def _least_squared_error(histogram: MagnitudeHistogram) -> float:
    errors = [squared_error(histogram, histogram.largest * step / CANDIDATES) for step in range(1, CANDIDATES + 1)]
    return histogram.largest * (int(np.argmin(errors)) + 1) / CANDIDATES


def _least_divergence(histogram: MagnitudeHistogram) -> float:
    counts = histogram.counts.reshape(ENTROPY_BINS, -1).sum(axis=1)
    counts[0] = 0.0  # zeros, which rounding leaves as they are, would outweigh all else behind a ReLU
    last = int(np.ceil(histogram.largest / histogram.limit * ENTROPY_BINS))
    cuts = range(min(ENTROPY_LEVELS, last), last + 1, ENTROPY_STEP)
    best = min(cuts, key=lambda cut: divergence(counts[:last], cut), default=last)
    return min(best * histogram.limit / ENTROPY_BINS, histogram.largest)


_CHOICES: dict[Method, Callable[[MagnitudeHistogram], float]] = {
    "mse": _least_squared_error,
    "entropy": _least_divergence,
    "percentile": _percentile,
    "max": _largest,
}
