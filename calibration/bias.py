"""Bias correction: rounding weights and inputs shifts the mean of each output channel; the bias takes it back."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

from br2net.calibration.histograms import Batch, observe
from br2net.calibration.layers import Layer, group_of
from br2net.calibration.qdq import quantised_weight
from br2net.calibration.thresholds import LEVELS, Thresholds

Means = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]


def find_means(path: Path, layers: Sequence[Layer], thresholds: Thresholds, batches: Iterable[Batch]) -> Means:
    """Mean of each channel of each tensor that `layers` read, as it is and after its rounding: `(C,)` each."""
    sums: dict[str, list[NDArray[np.float64]]] = {}
    counts: dict[str, int] = {}

    def see(tensor: str, value: Batch) -> None:
        scale = np.float32(thresholds[tensor] / LEVELS)
        rounded = np.clip(np.rint(value / scale), -LEVELS - 1, LEVELS) * scale
        found = [item.mean(axis=(0, 2, 3), dtype=np.float64) for item in (value, rounded)]
        sums[tensor] = [a + b for a, b in zip(sums[tensor], found, strict=True)] if tensor in sums else found
        counts[tensor] = counts.get(tensor, 0) + 1

    observe(path, sorted({layer.input for layer in layers}), batches, see)
    return {name: (both[0] / counts[name], both[1] / counts[name]) for name, both in sums.items()}


def correct_biases(model: ModelProto, layers: Iterable[Layer], means: Means, half: bool = False) -> ModelProto:
    """A copy of a float32 model whose biases make up for the mean shift that INT8 will bring to `layers`.

    The shift of output channel k is `Σ_c (Σ_taps Wq) · mean(Q(x_c)) - (Σ_taps W) · mean(x_c)`: exact but for the border,
    where a padded convolution sees zeros (Nagel et al., ICCV 2019, with measured means). `half`: weights will have float16
    scales.
    """
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    initialisers = {item.name: item for item in graph.initializer}
    wanted = {layer.node: layer for layer in layers}
    for node in graph.node:
        layer = wanted.get(node.name)
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
    _drop_unused_biases(graph)
    return result


def _shift(
    weight: NDArray[np.float32],
    group: int,
    mean: NDArray[np.float64],
    rounded_mean: NDArray[np.float64],
    half: bool,
) -> NDArray[np.float64]:
    steps, scale = quantised_weight(weight, half)
    rounded = steps * scale.reshape(-1, *[1] * (weight.ndim - 1)).astype(np.float64)
    taps, rounded_taps = (item.sum(axis=(2, 3), dtype=np.float64) for item in (weight, rounded))  # (K, C / group)
    per_group = len(weight) // group
    own = np.repeat(np.arange(group), per_group)  # group of each output channel
    means, rounded_means = (item.reshape(group, -1)[own] for item in (mean, rounded_mean))
    shift: NDArray[np.float64] = (rounded_taps * rounded_means - taps * means).sum(axis=1)
    return shift


def _drop_unused_biases(graph: onnx.GraphProto) -> None:
    read = {name for node in graph.node for name in node.input}
    kept = [item for item in graph.initializer if item.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
