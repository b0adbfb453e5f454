"""INT8 written into a graph, against rounding done by hand."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, numpy_helper
from torch.nn.functional import conv2d

from br2net.calibration.layers import Layer, matching, read_float_model
from br2net.calibration.qdq import quantise, quantised_weight

THRESHOLDS = {"image": 1.0, "r0": 2.0, "r1": 1.5, "r2": 3.0, "r3": 2.5}


def find_layers(model: Path) -> tuple[Layer, ...]:
    return read_float_model(model).layers


def weights_of(model: Path) -> dict[str, np.ndarray]:
    return {item.name: numpy_helper.to_array(item) for item in onnx.load(model).graph.initializer}


def run(model: onnx.ModelProto, tensor: str, image: np.ndarray) -> np.ndarray:
    model.graph.output.append(onnx.ValueInfoProto(name=tensor))
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([tensor], {"image": image})[0])


def test_a_layer_computes_with_rounded_input_and_weights(model: Path) -> None:
    image = np.random.default_rng(0).uniform(-1.2, 1.2, (1, 3, 64, 64)).astype(np.float32)
    proto = onnx.load(model)
    constants = {item.name: torch.from_numpy(numpy_helper.to_array(item).copy()) for item in proto.graph.initializer}
    weight = constants["body.0.stem.weight"]
    scale = weight.abs().amax(dim=(1, 2, 3), keepdim=True) / 127
    rounded_image = torch.fake_quantize_per_tensor_affine(torch.from_numpy(image), 1.0 / 127, 0, -128, 127)
    expected = conv2d(rounded_image, torch.round(weight / scale) * scale, constants["body.0.stem.bias"], padding=1)
    stem = matching(find_layers(model), ["stem"])
    int8 = quantise(proto, [layer for layer in find_layers(model) if layer.node in stem], THRESHOLDS, weights_of(model))
    assert np.allclose(run(int8, "c0", image), expected.numpy(), atol=1e-5)


def test_weights_are_stored_as_int8_and_nowhere_as_float(model: Path) -> None:
    graph = quantise(onnx.load(model), find_layers(model), THRESHOLDS, weights_of(model)).graph
    types = {item.name: item.data_type for item in graph.initializer if item.name.endswith(("weight", "_int8"))}
    assert len(types) == 5
    assert set(types.values()) == {TensorProto.INT8}


def test_layers_that_are_kept_are_as_they_were(model: Path) -> None:
    layers = find_layers(model)
    kept = matching(layers, ["depthwise", "map"])
    proto = onnx.load(model)
    graph = quantise(proto, [layer for layer in layers if layer.node not in kept], THRESHOLDS, weights_of(model)).graph
    before = {node.name: node for node in proto.graph.node}
    after = {node.name: node for node in graph.node}
    assert {name for name in before if before[name] != after[name]} == {"conv0", "conv2", "conv3"}


def test_two_layers_that_read_one_tensor_share_its_quantisation(model: Path) -> None:
    proto = onnx.load(model)
    twin = onnx.NodeProto()
    twin.CopyFrom(next(node for node in proto.graph.node if node.name == "conv3"))
    twin.name, twin.output[0] = "twin", "t"
    proto.graph.node.append(twin)
    onnx.save(proto, model)
    graph = quantise(proto, find_layers(model), THRESHOLDS, weights_of(model)).graph
    pairs = [node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == "r2"]
    readers = [node.name for node in graph.node if node.input[0] == "r2_dequantised"]
    assert len(pairs) == 1
    assert readers == ["conv3", "twin"]


def test_every_channel_of_a_weight_uses_its_whole_range_and_never_minus_128() -> None:
    sizes = np.logspace(-3, 3, 6).reshape(6, 1, 1, 1)
    weight = (np.random.default_rng(0).normal(size=(6, 4, 3, 3)) * sizes).astype(np.float32)
    steps, scale = quantised_weight(weight)
    column = scale.reshape(6, 1, 1, 1)
    assert np.abs(steps.astype(int)).max(axis=(1, 2, 3)).tolist() == [127] * 6
    assert steps.min() >= -127
    assert (np.abs(steps * column - weight) <= 0.501 * column).all()


def test_a_channel_of_zeros_stays_zero() -> None:
    steps, scale = quantised_weight(np.zeros((2, 3, 1, 1), np.float32))
    assert not steps.any()
    assert (scale > 0).all()


def test_scales_in_float16_keep_channels_of_small_weights_as_sharp_as_others() -> None:
    sizes = np.array([1e-3, 3e-3, 1e-2, 0.1, 1.0, 50.0]).reshape(6, 1, 1, 1)
    weight = np.random.default_rng(0).uniform(-1.0, 1.0, (6, 40, 3, 3)).astype(np.float32) * sizes.astype(np.float32)
    steps, scale = quantised_weight(weight, half=True)
    error = np.abs(steps * scale.reshape(6, 1, 1, 1) - weight).max(axis=(1, 2, 3)) / sizes.reshape(6)
    assert (scale.astype(np.float16).astype(np.float32) == scale).all()
    assert error.max() <= 0.5 / 126
