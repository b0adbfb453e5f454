"""INT8 forms of one model with any choice of layers, and bias correction."""

import tempfile
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

from br2net.builder.precision import autocast
from br2net.calibration.activations import Calibration, Means, network_inputs
from br2net.calibration.layers import FloatModel, Layer, group_of
from br2net.calibration.qdq import drop_unused, quantise, quantised_weight
from br2net.types import Frame


class Quantiser:
    """Makes INT8 forms of one float32 model by one calibration."""

    def __init__(self, model: FloatModel, calibration: Calibration) -> None:
        self.model, self.calibration = model, calibration

    def int8(self, kept: Collection[str] = ()) -> ModelProto:
        """Return the model with every layer INT8 except those whose node is in `kept`, and everything else float32."""
        layers = self._quantised(kept)
        return quantise(self._corrected(layers), layers, self.calibration.thresholds, self.model.weights)

    def int8_in_fp16(self, kept: Collection[str], frames: Sequence[Frame]) -> ModelProto:
        """Return the same with everything else float16, where AutoCast sees no harm on `frames`.

        Raises:
            MissingDependencyError: if modelopt is not installed.
        """
        layers = self._quantised(kept)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "float32.onnx"
            onnx.save(self._corrected(layers, half=True), path)
            cast = autocast(path, list(network_inputs(self.model, frames)))
        del cast.metadata_props[:]
        cast.metadata_props.extend(self.model.proto.metadata_props)
        return quantise(cast, layers, self.calibration.thresholds, self.model.weights)

    def _quantised(self, kept: Collection[str]) -> list[Layer]:
        return [layer for layer in self.model.layers if layer.node not in kept]

    def _corrected(self, layers: Sequence[Layer], half: bool = False) -> ModelProto:
        means = self.calibration.means
        return correct_biases(self.model.proto, layers, means, half) if means else self.model.proto


def correct_biases(model: ModelProto, layers: Iterable[Layer], means: Means, half: bool = False) -> ModelProto:
    """Return a copy of a float32 model whose biases compensate the mean shift that INT8 will bring to `layers`.

    The shift of output channel k is `Σ_c (Σ_taps Wq) · mean(Q(x_c)) - (Σ_taps W) · mean(x_c)`: exact except at the border,
    where a padded convolution sees zeros (Nagel et al., ICCV 2019, with measured means).

    Args:
        model: float32.
        layers: that will be INT8.
        means: channel means of the tensors that they read.
        half: True if the weights will have float16 scales.
    """
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    initialisers = {item.name: item for item in graph.initializer}
    chosen = {layer.node: layer for layer in layers}
    for node in graph.node:
        layer = chosen.get(node.name)
        if layer is None:
            continue
        weight = numpy_helper.to_array(initialisers[layer.weight])
        shift = _shift(weight, group_of(node), *means[layer.input], half)
        bias = np.zeros(len(weight), np.float32)
        if len(node.input) > 2 and node.input[2]:
            bias = numpy_helper.to_array(initialisers[node.input[2]])
        name = f"{layer.weight}_corrected_bias"
        graph.initializer.append(numpy_helper.from_array((bias - shift).astype(np.float32), name))
        inputs = [*node.input[:2], name]
        del node.input[:]
        node.input.extend(inputs)
    drop_unused(graph)
    return result


def _shift(
    weight: NDArray[np.float32], group: int, mean: NDArray[np.float64], rounded_mean: NDArray[np.float64], half: bool
) -> NDArray[np.float64]:
    steps, scale = quantised_weight(weight, half)
    rounded = steps * scale.reshape(-1, *[1] * (weight.ndim - 1)).astype(np.float64)
    taps, rounded_taps = (item.sum(axis=(2, 3), dtype=np.float64) for item in (weight, rounded))  # (K, C / group)
    own = np.repeat(np.arange(group), len(weight) // group)  # group of each output channel
    means, rounded_means = (item.reshape(group, -1)[own] for item in (mean, rounded_mean))
    shift: NDArray[np.float64] = (rounded_taps * rounded_means - taps * means).sum(axis=1)
    return shift
