"""One model and one calibration: INT8 forms of it with any choice of layers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from br2net.calibration.bias import Means, correct_biases, find_means
from br2net.calibration.histograms import Batch
from br2net.calibration.layers import Layer, find_layers
from br2net.calibration.qdq import quantise
from br2net.calibration.thresholds import Method, Thresholds, find_thresholds

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

    def float32(self) -> "ModelProto":
        """The model as it came."""
        return self._model

    def int8(self, kept: Collection[str] = ()) -> "ModelProto":
        """The model with every layer INT8 but those whose node is in `kept`."""
        layers = [layer for layer in self.layers if layer.node not in kept]
        model = correct_biases(self._model, layers, self.calibration.means) if self.calibration.means else self._model
        return quantise(model, layers, self.calibration.thresholds)


def calibrate_layers(
    path: Path, layers: Sequence[Layer], batches: Sequence[Batch], method: Method, correct_bias: bool
) -> Calibration:
    """Measure thresholds and, where biases shall be corrected, channel means over a calibration set.

    Raises:
        MissingDependencyError: if a package that the method needs is not installed.
    """
    thresholds = find_thresholds(path, layers, batches, method)
    means = find_means(path, layers, thresholds, batches[:BIAS_IMAGES]) if correct_bias else {}
    return Calibration(method, thresholds, means)
