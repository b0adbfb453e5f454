"""The INT8 model that comes with the package."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from br2net import Detector
from br2net.builder.comparison import packaged_photograph
from br2net.files import sha256_of
from br2net.runtime.backend import detect
from br2net.runtime.backends import open_backend
from br2net.runtime.model_file import read_model_file
from br2net.zoo import find_model, shipped_models


@pytest.fixture(scope="module")
def graph() -> onnx.GraphProto:
    return onnx.load(find_model("mobile-int8")).graph


def test_it_is_of_the_shipped_float32_network_and_smaller() -> None:
    float32, int8 = (read_model_file(shipped_models()[name]) for name in ("mobile", "mobile-int8"))
    assert int8.metadata.precision == "int8"
    assert int8.metadata.weights_sha256 == float32.metadata.weights_sha256
    assert int8.path.stat().st_size <= 0.4 * float32.path.stat().st_size


def test_its_map_is_that_of_float32_but_for_a_hundredth() -> None:
    maps = [Detector.load(name)(packaged_photograph()).map for name in ("mobile", "mobile-int8")]
    assert np.abs(maps[0] - maps[1]).mean() <= 0.01


def test_it_is_a_graph_for_tensorrt(graph: onnx.GraphProto) -> None:
    """Symmetric int8, zero points 0, one scale per output channel of a weight and one per activation."""
    constants = {item.name: item for item in graph.initializer}
    producers = {node.output[0]: node for node in graph.node}
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = constants[node.input[2]]
            assert zero.data_type == TensorProto.INT8
            assert not numpy_helper.to_array(zero).any()
    weights = [
        constants[producers[node.input[1]].input[0]]
        for node in graph.node
        if node.op_type == "Conv" and node.input[1] in producers
    ]
    assert len(weights) > 50
    for weight in weights:
        scales = numpy_helper.to_array(constants[weight.name.removesuffix("_int8") + "_scale"])
        steps = numpy_helper.to_array(weight)
        assert scales.shape == (len(steps),)
        assert (scales > 0).all()
        assert steps.min() >= -127


def test_its_manifest_names_what_it_was_calibrated_on() -> None:
    texts = {item.key: item.value for item in onnx.load(find_model("mobile-int8")).metadata_props}
    card = find_model("mobile-int8").with_suffix(".md").read_text(encoding="utf-8")
    facts = json.loads(texts["br2net_calibration"])
    assert facts["method"] in card
    assert facts["set"][:12] in card
    assert sha256_of(find_model("mobile"))[:12] in card


def test_openvino_gives_the_map_of_onnx_runtime_on_every_processor() -> None:
    """Without VNNI, sums of INT8 products overflow in OpenVINO; such a processor runs the file in float32."""
    frame = packaged_photograph()
    maps = []
    for backend in ("openvino", "onnxruntime"):
        with open_backend(find_model("mobile-int8"), backend) as opened:
            maps.append(detect(opened, [frame])[0].map)
    assert maps[0] is not None and maps[1] is not None
    assert np.abs(maps[0] - maps[1]).mean() <= 0.01
