"""Quantisers of float16 tensors round in ONNX Runtime, as the ONNX standard has it."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from br2net.runtime.onnxruntime.rounding import rounding_source, with_float32_quantisers

VALUES = np.random.default_rng(2).normal(scale=8.0, size=(1, 1, 16, 16)).astype(np.float32)


def quantising(kind: type[np.floating[Any]]) -> ModelProto:
    """Casts its input, quantises it in steps of 0.5, in two ways that share the scale, and gives both as int8."""
    tensor = TensorProto.FLOAT16 if kind is np.float16 else TensorProto.FLOAT
    nodes = [
        helper.make_node("Cast", ["image"], ["cast"], to=tensor),
        helper.make_node("QuantizeLinear", ["cast", "scale", "zero"], ["first"], "quantise_first"),
        helper.make_node("Neg", ["cast"], ["negated"]),
        helper.make_node("QuantizeLinear", ["negated", "scale", "zero"], ["second"], "quantise_second"),
    ]
    graph = helper.make_graph(
        nodes,
        "quantising",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, VALUES.shape)],
        [helper.make_tensor_value_info(name, TensorProto.INT8, VALUES.shape) for name in ("first", "second")],
        [
            numpy_helper.from_array(np.array(0.5, kind), "scale"),
            numpy_helper.from_array(np.array(0, np.int8), "zero"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)


def by_onnxruntime(source: str | bytes) -> list[NDArray[np.int8]]:
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    return [np.asarray(result) for result in session.run(None, {"image": VALUES})]


def test_float16_quantisers_give_what_the_reference_evaluator_gives(tmp_path: Path) -> None:
    model = quantising(np.float16)
    path = tmp_path / "half.onnx"
    onnx.save(model, path)
    expected: Any = ReferenceEvaluator(model).run(None, {"image": VALUES})
    for found, wanted in zip(by_onnxruntime(rounding_source(path)), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_the_rewritten_model_is_valid_and_the_given_one_untouched() -> None:
    model = quantising(np.float16)
    before = model.SerializeToString()
    wide = with_float32_quantisers(model)
    onnx.checker.check_model(wide, full_check=True)
    assert model.SerializeToString() == before
    assert wide.SerializeToString() != before


def test_a_float32_model_is_run_from_its_own_file(tmp_path: Path) -> None:
    path = tmp_path / "single.onnx"
    model = quantising(np.float32)
    onnx.save(model, path)
    assert with_float32_quantisers(model) is model
    assert rounding_source(path) == str(path)
