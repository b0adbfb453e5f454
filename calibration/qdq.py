"""Writing INT8 into an ONNX graph: weights stored as int8, Q/DQ where a layer reads its input."""

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from br2net.calibration.activations import LEVELS, Thresholds
from br2net.calibration.layers import Layer

OPSET_OF_FP16_SCALES = 19
SMALLEST_SCALE = np.float16(2.0**-20)  # among float16's subnormal numbers: folded layers have channels that need them


def quantise(
    model: ModelProto, layers: Iterable[Layer], thresholds: Thresholds, weights: Mapping[str, NDArray[np.float32]]
) -> ModelProto:
    """A copy of a model in which `layers` are INT8; everything else stays as it is.

    Weights become int8 initialisers with one scale per output channel and a DequantizeLinear behind them. A layer's
    input goes through QuantizeLinear and DequantizeLinear of one scale, zero point 0 and no use of -128, as TensorRT
    wants it; layers that read one tensor share the pair. Outputs stay as they are, so that an addition, a gate or a
    resize sees full precision, and engines fuse the quantisation into whatever comes before it.

    Args:
        model: float32, or its fp16 form by AutoCast, in which scales are float16 where a layer works in float16.
        layers: of the float32 model.
        thresholds: the largest magnitude of each tensor they read.
        weights: of the float32 model, by the names of its initialisers.
    """
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    wanted = {layer.node: layer for layer in layers}
    halves = _half_tensors(model)
    nodes: list[NodeProto] = []
    made: dict[tuple[str, bool], str] = {}  # tensor or weight, and whether in float16: name of its dequantised form
    for node in graph.node:
        layer = wanted.get(node.name)
        if layer is not None:
            tensor, half = node.input[0], node.input[0] in halves
            if (tensor, half) not in made:
                nodes += _activation_pair(graph, tensor, thresholds[layer.input], half)
                made[tensor, half] = nodes[-1].output[0]
            if (layer.weight, half) not in made:
                nodes.append(_stored_weight(graph, layer.weight, weights[layer.weight], half))
                made[layer.weight, half] = nodes[-1].output[0]
            node.input[0], node.input[1] = made[tensor, half], made[layer.weight, half]
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unused(graph)
    del graph.value_info[:]
    if halves:
        _raise_opset(result)
    return result


def quantised_weight(weight: NDArray[np.float32], half: bool = False) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """int8 weights `(K, …)` and scales `(K,)` float32, symmetric, one scale per output channel.

    `half`: of scales only values that float16 holds exactly.
    """
    largest = np.abs(weight.reshape(len(weight), -1)).max(axis=1)
    scale = np.where(largest > 0.0, largest / LEVELS, 1.0).astype(np.float32)
    if half:
        near = np.maximum(scale.astype(np.float16), SMALLEST_SCALE)
        enough = np.where(
            near < scale, np.nextafter(near, np.float16(np.inf)), near
        )  # cutting hurts more than rounding
        scale = enough.astype(np.float32)
    steps = np.rint(weight / scale.reshape(-1, *[1] * (weight.ndim - 1)))
    return np.clip(steps, -LEVELS, LEVELS).astype(np.int8), scale


def _half_tensors(model: ModelProto) -> frozenset[str]:
    """Names of the float16 tensors of a model."""
    values = onnx.shape_inference.infer_shapes(model).graph.value_info
    return frozenset(item.name for item in values if item.type.tensor_type.elem_type == TensorProto.FLOAT16)


def _activation_pair(graph: onnx.GraphProto, tensor: str, threshold: float, half: bool) -> list[NodeProto]:
    scale, zero = f"{tensor}_scale", f"{tensor}_zero"
    value = np.array(threshold / LEVELS, np.float16 if half else np.float32)
    graph.initializer.append(numpy_helper.from_array(value, scale))
    graph.initializer.append(numpy_helper.from_array(np.array(0, np.int8), zero))
    quantised, back = f"{tensor}_quantised", f"{tensor}_dequantised"
    return [
        helper.make_node("QuantizeLinear", [tensor, scale, zero], [quantised], name=f"quantise_{tensor}"),
        helper.make_node("DequantizeLinear", [quantised, scale, zero], [back], name=f"dequantise_{tensor}"),
    ]


def _stored_weight(graph: onnx.GraphProto, name: str, weight: NDArray[np.float32], half: bool) -> NodeProto:
    steps, scale = quantised_weight(weight, half)
    stem = f"{name}_fp16" if half else name
    names = [f"{stem}_int8", f"{stem}_scale", f"{stem}_zero"]
    scales = scale.astype(np.float16) if half else scale
    values: tuple[NDArray[np.generic], ...] = (steps, scales, np.zeros(len(scale), np.int8))
    for item, value in zip(names, values, strict=True):
        graph.initializer.append(numpy_helper.from_array(value, item))
    return helper.make_node("DequantizeLinear", names, [f"{stem}_dequantised"], name=f"dequantise_{stem}", axis=0)


def _raise_opset(model: ModelProto) -> None:
    """QuantizeLinear takes float16 scales from opset 19 on; none of the operators here changed between 18 and it."""
    for item in model.opset_import:
        if item.domain in ("", "ai.onnx"):
            item.version = max(item.version, OPSET_OF_FP16_SCALES)


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove initialisers that nothing reads any more."""
    read = {name for node in graph.node for name in node.input} | {item.name for item in graph.output}
    kept = [item for item in graph.initializer if item.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
