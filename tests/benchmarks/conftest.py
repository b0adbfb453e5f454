"""A model file whose map is known, and the data that not every machine has."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from br2net.runtime.metadata import METADATA_KEY, SYMMETRIC, ModelMetadata

SHARED = Path(__file__).resolve().parents[3] / "shared"


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the folder of shared data is not here")
    return SHARED


@pytest.fixture
def red_onnx(tmp_path: Path) -> Path:
    """An ONNX that calls a pixel blurred as much as it is red; any size, 64x64 by default."""
    constants = {"half": [0.5], "zero": [0.0], "one": [1.0]}
    scalars = [helper.make_tensor(name, TensorProto.FLOAT, [], value) for name, value in constants.items()]
    whole = {"starts": [0], "ends": [1], "axes": [1]}
    slices = [helper.make_tensor(name, TensorProto.INT64, [1], value) for name, value in whole.items()]
    nodes = [
        helper.make_node("Slice", ["image", *whole], ["red"]),
        helper.make_node("Mul", ["red", "half"], ["scaled"]),
        helper.make_node("Add", ["scaled", "half"], ["moved"]),
        helper.make_node("Clip", ["moved", "zero", "one"], ["blur"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])
    blur = helper.make_tensor_value_info("blur", TensorProto.FLOAT, ["n", 1, "h", "w"])
    graph = helper.make_graph(nodes, "red", [image], [blur], [*scalars, *slices])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    metadata = ModelMetadata("red", "{}", "none", 64, 64, SYMMETRIC, training_data="none")
    helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
    path = tmp_path / "red.onnx"
    onnx.save(model, path)
    return path
