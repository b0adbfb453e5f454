"""A workaround for float16 quantisers that ONNX Runtime's CPU rounds wrongly.

QuantizeLinear rounds to the nearest step, by the ONNX standard. ONNX Runtime's CPU kernel for float16 (seen in 1.24.4)
cuts towards zero instead, which moves the mean of every layer and drifts the map of an INT8 model with a float16 remainder
by a fifth of its range. Its float32 kernel rounds. So such a model runs with each QuantizeLinear in float32; the file stays.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto


def rounding_source(model: Path | bytes) -> str | bytes:
    """Return what ONNX Runtime can load of a file or a serialised model: the same, or a model whose quantisers round."""
    import onnx

    unchanged = model if isinstance(model, bytes) else str(model)
    if b"QuantizeLinear" not in (model if isinstance(model, bytes) else model.read_bytes()):
        return unchanged
    graph = onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(model)
    wide = with_float32_quantisers(graph)
    return unchanged if wide is graph else wide.SerializeToString()


def quantises_float16(model: "ModelProto") -> bool:
    """Whether a QuantizeLinear of the model reads a float16 tensor, as with a remainder in float16."""
    halves = _float16_constants(model)
    return any(node.op_type == "QuantizeLinear" and node.input[1] in halves for node in model.graph.node)


def with_float32_quantisers(model: "ModelProto") -> "ModelProto":
    """A copy in which each QuantizeLinear of a float16 tensor casts it to float32 first; the model itself if it has none."""
    from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

    if not quantises_float16(model):
        return model
    halves = _float16_constants(model)
    result = ModelProto()
    result.CopyFrom(model)
    nodes: list[NodeProto] = []
    for node in result.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[1] in halves:
            tensor, scale = node.input[0], node.input[1]
            wide_tensor, wide_scale = f"{tensor}_to_quantise", f"{scale}_of_{node.output[0]}"
            value = numpy_helper.to_array(halves[scale]).astype(np.float32)
            result.graph.initializer.append(numpy_helper.from_array(value, wide_scale))
            nodes.append(helper.make_node("Cast", [tensor], [wide_tensor], f"widen_{node.name}", to=TensorProto.FLOAT))
            node.input[0], node.input[1] = wide_tensor, wide_scale
        nodes.append(node)
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    return result


def _float16_constants(model: "ModelProto") -> "dict[str, TensorProto]":
    from onnx import TensorProto

    return {item.name: item for item in model.graph.initializer if item.data_type == TensorProto.FLOAT16}
