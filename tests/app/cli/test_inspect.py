"""`br2net inspect` of each kind of file."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from br2net.runtime.engine_file import write_engine
from br2net.runtime.metadata import IMAGENET, METADATA_KEY, ModelMetadata

from ...builder.engine.conftest import record
from .conftest import Command


def typed_onnx(path: Path) -> Path:
    """Three convolutions: int8 with quantised weights, fp16, and fp32."""

    def weight(name: str, shape: tuple[int, ...], dtype: type) -> TensorProto:
        return numpy_helper.from_array(np.ones(shape, dtype), name)

    nodes = [
        helper.make_node("QuantizeLinear", ["image", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["dq"]),
        helper.make_node("DequantizeLinear", ["w8", "scale", "zero"], ["w8_dq"]),
        helper.make_node("Conv", ["dq", "w8_dq"], ["a"], name="narrow"),
        helper.make_node("Cast", ["a"], ["a16"], to=TensorProto.FLOAT16),
        helper.make_node("Conv", ["a16", "w16"], ["b16"], name="half"),
        helper.make_node("Cast", ["b16"], ["b"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["b", "w32"], ["blur"], name="wide"),
    ]
    weights = [
        weight("w8", (4, 3, 1, 1), np.int8),
        weight("w16", (4, 4, 1, 1), np.float16),
        weight("w32", (1, 4, 1, 1), np.float32),
        weight("scale", (), np.float32),
        weight("zero", (), np.int8),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [2, 3, 32, 32])
    blur = helper.make_tensor_value_info("blur", TensorProto.FLOAT, [2, 1, 32, 32])
    graph = helper.make_graph(nodes, "typed", [image], [blur], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    facts = ModelMetadata("typed", "{}", "none", 32, 32, IMAGENET, precision="int8")
    helper.set_model_props(model, {METADATA_KEY: facts.to_json()})
    onnx.save(model, path)
    return path


def test_layers_of_an_onnx_file_are_counted_by_precision(br2net: Command, tmp_path: Path) -> None:
    ended = br2net("inspect", typed_onnx(tmp_path / "x.onnx"), "--json")
    facts = json.loads(ended.out)
    assert facts["kind"] == "onnx"
    assert facts["layers_by_precision"] == {"int8": 1, "fp16": 1, "fp32": 1}


def test_work_is_that_of_one_image_whatever_the_batch(br2net: Command, tmp_path: Path) -> None:
    facts = json.loads(br2net("inspect", typed_onnx(tmp_path / "x.onnx"), "--json").out)
    assert facts["macs"] == 32 * 32 * (3 * 4 + 4 * 4 + 4)
    assert [layer["parameters"] for layer in facts["layers"]] == [12, 16, 4]


def test_layers_wider_than_the_file_are_named(br2net: Command, tmp_path: Path) -> None:
    ended = br2net("inspect", typed_onnx(tmp_path / "x.onnx"))
    assert "1 int8, 1 fp16, 1 fp32; not int8: half, wide" in " ".join(ended.out.split())


def test_an_engine_is_told_as_a_table_and_as_json(br2net: Command, tmp_path: Path) -> None:
    plan = b"ftrt" + bytes(20) + bytes([11, 4, 0, 106]) + b"weights"
    facts = record(plan_sha256=hashlib.sha256(plan).hexdigest(), plan_size_bytes=len(plan), layers={"fp16": 9})
    write_engine(tmp_path / "x.engine", plan, facts)
    assert "by TensorRT 11.4.0.106" in br2net("inspect", tmp_path / "x.engine").out
    told = json.loads(br2net("inspect", tmp_path / "x.engine", "--json").out)
    assert told["plan"]["version"] == "11.4.0.106"
    assert told["sidecar"]["layers"] == {"fp16": 9} and told["damage"] is None
    assert json.loads(br2net("inspect", tmp_path / "x.engine.json", "--json").out) == told


@pytest.mark.parametrize(("name", "said"), [("x.engine", "not a TensorRT engine"), ("x.onnx", "not an ONNX file")])
def test_what_is_neither_is_one_sentence(br2net: Command, tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / name).write_bytes(b"hello world, this is nothing of the kind")
    ended = br2net("inspect", tmp_path / name)
    assert (ended.code, ended.out) == (2, "") and said in ended.err and ended.err.count("\n") == 1


def test_a_file_that_is_not_there_is_one_sentence(br2net: Command, tmp_path: Path) -> None:
    ended = br2net("inspect", tmp_path / "x.engine")
    assert ended.code == 2 and "neither a file nor a shipped model" in ended.err
