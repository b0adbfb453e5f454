"""Writing INT8 into an ONNX graph: weights stored as int8, Q/DQ where a layer reads its input."""

from collections.abc import Iterable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from br2net.calibration.layers import Layer
from br2net.calibration.thresholds import LEVELS, Thresholds


def quantise(model: ModelProto, layers: Iterable[Layer], thresholds: Thresholds) -> ModelProto:
    """A copy of a float32 model in which `layers` are INT8; everything else stays as it is.

    Weights become int8 initialisers with one scale per output channel and a DequantizeLinear behind them. A layer's
    input goes through QuantizeLinear and DequantizeLinear of one scale, zero point 0 and no use of -128, as TensorRT
    wants it; layers that read one tensor share the pair. Outputs stay as they are, so that an addition, a gate or a
    resize sees full precision, and engines fuse the quantisation into whatever comes before it.

    Args:
        model: float32; the opset stays.
        layers: of this model.
        thresholds: the largest magnitude of each tensor they read.
    """
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    wanted = {layer.node: layer for layer in layers}
    initialisers = {item.name: item for item in graph.initializer}
    nodes: list[NodeProto] = []
    made: dict[str, str] = {}  # tensor or weight: name of its dequantised form
    for node in graph.node:
        layer = wanted.get(node.name)
        if layer is not None:
            if layer.input not in made:
                nodes += _activation_pair(graph, layer.input, thresholds[layer.input])
                made[layer.input] = f"{layer.input}_dequantised"
            if layer.weight not in made:
                nodes.append(_stored_weight(graph, initialisers[layer.weight]))
                made[layer.weight] = f"{layer.weight}_dequantised"
            node.input[0], node.input[1] = made[layer.input], made[layer.weight]
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    _drop_unused(graph)
    del graph.value_info[:]
    return result


def quantised_weight(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """int8 weights `(K, …)` and scales `(K,)` float32, symmetric, one scale per output channel."""
    largest = np.abs(weight.reshape(len(weight), -1)).max(axis=1)
    scale = np.where(largest > 0.0, largest / LEVELS, 1.0).astype(np.float32)
    steps = np.rint(weight / scale.reshape(-1, *[1] * (weight.ndim - 1)))
    return np.clip(steps, -LEVELS, LEVELS).astype(np.int8), scale


def _activation_pair(graph: onnx.GraphProto, tensor: str, threshold: float) -> list[NodeProto]:
    scale, zero = f"{tensor}_scale", f"{tensor}_zero"
    graph.initializer.append(numpy_helper.from_array(np.array(threshold / LEVELS, np.float32), scale))
    graph.initializer.append(numpy_helper.from_array(np.array(0, np.int8), zero))
    quantised, back = f"{tensor}_quantised", f"{tensor}_dequantised"
    return [
        helper.make_node("QuantizeLinear", [tensor, scale, zero], [quantised], name=f"quantise_{tensor}"),
        helper.make_node("DequantizeLinear", [quantised, scale, zero], [back], name=f"dequantise_{tensor}"),
    ]


def _stored_weight(graph: onnx.GraphProto, weight: TensorProto) -> NodeProto:
    steps, scale = quantised_weight(numpy_helper.to_array(weight))
    names = [f"{weight.name}_int8", f"{weight.name}_scale", f"{weight.name}_zero"]
    values: tuple[NDArray[np.generic], ...] = (steps, scale, np.zeros(len(scale), np.int8))
    for name, value in zip(names, values, strict=True):
        graph.initializer.append(numpy_helper.from_array(value, name))
    return helper.make_node(
        "DequantizeLinear", names, [f"{weight.name}_dequantised"], name=f"dequantise_{weight.name}", axis=0
    )


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Remove initialisers that nothing reads any more."""
    read = {name for node in graph.node for name in node.input} | {item.name for item in graph.output}
    kept = [item for item in graph.initializer if item.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
