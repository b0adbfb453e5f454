"""Histograms of what flows through a network, over a whole calibration set, in little memory."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from br2net.types import Batch

BINS = 4096


class MagnitudeHistogram:
    """How often each magnitude |x| occurs: equal bins from 0 to `limit`, which doubles when a larger value comes."""

    def __init__(self) -> None:
        self.counts = np.zeros(BINS, np.float64)
        self.limit = 0.0
        self.largest = 0.0

    def add(self, values: Batch) -> None:
        """Count in an array of any shape."""
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


def observe(
    path: Path,
    tensors: Sequence[str],
    batches: Iterable[Batch],
    see: Callable[[str, Batch], None],
) -> None:
    """Run an ONNX file by ONNX Runtime and show `see` the name and the value of each of `tensors`, batch by batch."""
    import onnx
    import onnxruntime

    model = onnx.load(path)
    name = model.graph.input[0].name
    inner = [tensor for tensor in tensors if tensor != name]
    outputs = {item.name for item in model.graph.output}
    for tensor in inner:
        if tensor not in outputs:
            model.graph.output.append(onnx.ValueInfoProto(name=tensor))
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    for batch in batches:
        if name in tensors:
            see(name, batch)
        for tensor, value in zip(inner, session.run(inner, {name: batch}), strict=True):
            see(tensor, value)
