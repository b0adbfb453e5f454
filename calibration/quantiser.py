"""One model and one calibration: INT8 forms of it with any choice of layers."""

import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from br2net.builder.precision import autocast
from br2net.calibration.bias import Means, correct_biases, find_means
from br2net.calibration.histograms import Batch
from br2net.calibration.layers import Layer, find_layers
from br2net.calibration.qdq import quantise
from br2net.calibration.thresholds import Histograms, Method, Thresholds, find_thresholds

if TYPE_CHECKING:
    from onnx import ModelProto

BIAS_IMAGES = 64  # means settle sooner than extremes


@dataclass(frozen=True, eq=False)
class Calibration:
    """What was measured on the calibration set: a threshold per tensor, and channel means (none: no bias correction)."""

    method: Method
    thresholds: Thresholds
    means: Means


class Quantiser:
    """Makes INT8 forms of one float32 file; `layers` are all that can be INT8."""

    def __init__(self, path: Path, calibration: Calibration) -> None:
        import onnx

        self.layers = find_layers(path)
        self.calibration = calibration
        self._model: ModelProto = onnx.load(path)
        self._weights = {item.name: onnx.numpy_helper.to_array(item) for item in self._model.graph.initializer}

    def float32(self) -> "ModelProto":
        """The model as it came."""
        return self._model

    def int8(self, kept: Collection[str] = ()) -> "ModelProto":
        """The model with every layer INT8 but those whose node is in `kept`, and everything else float32."""
        layers = self._quantised(kept)
        return quantise(self._corrected(layers), layers, self.calibration.thresholds, self._weights)

    def int8_in_fp16(self, kept: Collection[str], batches: Sequence[Batch]) -> "ModelProto":
        """The same with everything else float16, where AutoCast sees no harm to what `batches` bring about.

        Raises:
            MissingDependencyError: if modelopt is not installed.
        """
        import onnx

        layers = self._quantised(kept)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "float32.onnx"
            onnx.save(self._corrected(layers, half=True), path)
            return quantise(autocast(path, batches), layers, self.calibration.thresholds, self._weights)

    def _quantised(self, kept: Collection[str]) -> list[Layer]:
        return [layer for layer in self.layers if layer.node not in kept]

    def _corrected(self, layers: Sequence[Layer], half: bool = False) -> "ModelProto":
        means = self.calibration.means
        return correct_biases(self._model, layers, means, half) if means else self._model


def calibrate_layers(
    path: Path,
    layers: Sequence[Layer],
    histograms: Histograms,
    batches: Sequence[Batch],
    method: Method,
    correct_bias: bool,
) -> Calibration:
    """Find thresholds and, where biases shall be corrected, channel means over a calibration set.

    Args:
        path: of the float32 ONNX file.
        layers: of that file.
        histograms: of what they read, over `batches`.
        batches: the calibration set, float32 `(N, 3, h, w)` each.
        method: see `find_thresholds`.
        correct_bias: whether to measure means as well.
    """
    thresholds = find_thresholds(histograms, method)
    means = find_means(path, layers, thresholds, batches[:BIAS_IMAGES]) if correct_bias else {}
    return Calibration(method, thresholds, means)
