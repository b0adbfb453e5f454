"""What flows through a network on a calibration set: magnitudes that INT8 must represent, and channel means."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray

from br2net.calibration.layers import FloatModel
from br2net.runtime.onnxruntime.session import open_session
from br2net.runtime.preprocessing import preprocess
from br2net.types import Batch, Frame

LEVELS = 127  # of either sign; -128 stays unused, so that zero is the middle
BINS = 4096
CANDIDATES = 96  # thresholds that are tried
BIAS_IMAGES = 64  # means settle sooner than extremes

Thresholds = Mapping[str, float]
Means = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]


@dataclass(frozen=True, eq=False)
class Calibration:
    """What was measured on a calibration set.

    Attributes:
        thresholds: largest magnitude to represent, of each tensor that a layer reads.
        means: mean of each channel of these tensors, as it is and after rounding, `(C,)` each; empty without bias
            correction.
    """

    thresholds: Thresholds
    means: Means


class MagnitudeHistogram:
    """Counts how often each magnitude |x| occurs: equal bins from 0 to `limit`, which doubles when a larger value comes."""

    def __init__(self) -> None:
        self.counts = np.zeros(BINS, np.float64)
        self.limit = 0.0
        self.largest = 0.0

    def add(self, values: Batch) -> None:
        """Count the values of an array of any shape."""
        magnitudes = np.abs(values).reshape(-1)
        largest = float(magnitudes.max(initial=0.0))
        self.largest = max(self.largest, largest)
        if self.limit == 0.0:
            self.limit = largest or 1e-6
        while self.limit < largest:
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(axis=1), np.zeros(BINS // 2)])
            self.limit *= 2.0
        end = float(np.nextafter(np.float32(self.limit), np.float32(np.inf)))  # the last bin includes its end
        self.counts += cv2.calcHist([magnitudes], [0], None, [BINS], [0.0, end]).reshape(-1)

    @property
    def centres(self) -> NDArray[np.float64]:
        """The magnitude in the middle of each bin, `(4096,)`."""
        return np.asarray((np.arange(BINS) + 0.5) * (self.limit / BINS), np.float64)

    def squared_error(self, threshold: float) -> float:
        """Sum the squared errors of the values when they are rounded to 127 steps of `threshold` and cut there."""
        if threshold <= 0.0:
            return float("inf")
        centres, scale = self.centres, threshold / LEVELS
        rounded = np.clip(np.rint(centres / scale), 0, LEVELS) * scale
        return float((self.counts * (centres - rounded) ** 2).sum())

    def threshold(self) -> float:
        """Return the cut of least squared error, as NVIDIA's `mse` calibrator chooses it."""
        errors = [self.squared_error(self.largest * step / CANDIDATES) for step in range(1, CANDIDATES + 1)]
        return self.largest * (int(np.argmin(errors)) + 1) / CANDIDATES or self.limit


def measure(model: FloatModel, frames: Sequence[Frame], correct_bias: bool) -> Calibration:
    """Measure thresholds and, where biases shall be corrected, channel means over a calibration set.

    Args:
        model: the float32 model.
        frames: the calibration set, uint8 `(H, W, 3)` BGR each.
        correct_bias: True if to measure means as well.
    """
    histograms = {layer.input: MagnitudeHistogram() for layer in model.layers}
    observe(model, network_inputs(model, frames), lambda name, value: histograms[name].add(value))
    thresholds = {name: histogram.threshold() for name, histogram in histograms.items()}
    return Calibration(thresholds, channel_means(model, frames[:BIAS_IMAGES], thresholds) if correct_bias else {})


def channel_means(model: FloatModel, frames: Sequence[Frame], thresholds: Thresholds) -> Means:
    """Measure the mean of each channel of each tensor that a layer reads, as it is and after its rounding."""
    sums: dict[str, list[NDArray[np.float64]]] = {}

    def see(tensor: str, value: Batch) -> None:
        scale = np.float32(thresholds[tensor] / LEVELS)
        rounded = np.clip(np.rint(value / scale), -LEVELS - 1, LEVELS) * scale
        found = [item.mean(axis=(0, 2, 3), dtype=np.float64) for item in (value, rounded)]
        sums[tensor] = [a + b for a, b in zip(sums[tensor], found, strict=True)] if tensor in sums else found

    observe(model, network_inputs(model, frames), see)
    return {name: (both[0] / len(frames), both[1] / len(frames)) for name, both in sums.items()}


def observe(model: FloatModel, batches: Iterable[Batch], see: Callable[[str, Batch], None]) -> None:
    """Run a model and call `see` with the name and the value of each tensor that a layer reads, batch by batch."""
    tensors = sorted({layer.input for layer in model.layers})
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    name = proto.graph.input[0].name
    inner = [tensor for tensor in tensors if tensor != name]
    outputs = {item.name for item in proto.graph.output}
    proto.graph.output.extend(onnx.ValueInfoProto(name=tensor) for tensor in inner if tensor not in outputs)
    session = open_session(proto.SerializeToString())
    for batch in batches:
        if name in tensors:
            see(name, batch)
        for tensor, value in zip(inner, session.run(inner, {name: batch}), strict=True):
            see(tensor, value)


def network_inputs(model: FloatModel, frames: Iterable[Frame]) -> Iterable[Batch]:
    """Yield the network input of each frame, float32 `(1, 3, h, w)`."""
    facts = model.metadata
    for frame in frames:
        yield preprocess([frame], facts.width, facts.height, facts.normalisation)
