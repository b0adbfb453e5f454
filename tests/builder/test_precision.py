"""FP16 files: typed as TensorRT wants them, compared with fp32 before they appear, saying what stayed fp32."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from br2net.builder import ExportOptions, export_onnx
from br2net.builder.comparison import Tolerance, packaged_photograph
from br2net.builder.precision import Fp16Result, kept_fp32, to_fp16
from br2net.errors import GateError, InputError, ModelError
from br2net.network import BR2Net, BR2NetConfig, Checkpoint
from br2net.network.checkpoint import ModelFacts
from br2net.runtime.model_file import read_model_file
from br2net.runtime.preprocessing import preprocess


@pytest.fixture(scope="module")
def fp32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = BR2Net(BR2NetConfig(backbone="mobilenet_v2", width=6, l2h_level=1, h2l_level=3)).eval()
    path = tmp_path_factory.mktemp("fp32") / "small.onnx"
    export_onnx(Checkpoint(model, ModelFacts("small", 96, 64)), path, ExportOptions())
    return path


@pytest.fixture(scope="module")
def fp16(fp32: Path) -> tuple[Path, Fp16Result]:
    path = fp32.with_name("small-fp16.onnx")
    return path, to_fp16(fp32, path)


def test_input_and_output_stay_float32(fp16: tuple[Path, Fp16Result]) -> None:
    graph = onnx.load(fp16[0]).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}
    assert types == {"image": TensorProto.FLOAT, "blur": TensorProto.FLOAT}


def test_the_weights_take_half_the_room(fp32: Path, fp16: tuple[Path, Fp16Result]) -> None:
    assert fp16[0].stat().st_size <= 0.6 * fp32.stat().st_size


def test_the_metadata_says_fp16_and_how_far_it_is_from_fp32(fp16: tuple[Path, Fp16Result]) -> None:
    metadata = read_model_file(fp16[0]).metadata
    assert metadata == fp16[1].metadata
    assert metadata.precision == "fp16"
    assert metadata.figures["fp16_largest_difference"] == pytest.approx(fp16[1].difference.largest)
    assert "export_difference" in metadata.figures


def test_the_stated_difference_is_what_onnx_runtime_shows(fp32: Path, fp16: tuple[Path, Fp16Result]) -> None:
    facts = read_model_file(fp32).metadata
    image = preprocess([packaged_photograph()], facts.width, facts.height, facts.normalisation)
    maps = [
        onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"image": image})[0]
        for path in (fp32, fp16[0])
    ]
    gaps = np.abs(maps[0] - maps[1])
    assert fp16[1].difference.largest == pytest.approx(gaps.max(), abs=1e-6)
    assert fp16[1].difference.mean == pytest.approx(gaps.mean(), abs=1e-6)


def test_a_file_too_far_from_fp32_is_refused_and_not_written(fp32: Path, tmp_path: Path) -> None:
    with pytest.raises(GateError, match="refused"):
        to_fp16(fp32, tmp_path / "x.onnx", tolerance=Tolerance(largest=0.0, mean=0.0))
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_fp16_already_is_refused(fp16: tuple[Path, Fp16Result], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fp16 already"):
        to_fp16(fp16[0], tmp_path / "x.onnx")


def test_what_is_no_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"hello world")
    with pytest.raises(ModelError, match="not an ONNX"):
        to_fp16(tmp_path / "x.onnx", tmp_path / "y.onnx")


def test_nodes_that_stay_fp32_are_named() -> None:
    nodes = [
        helper.make_node("MatMul", ["a", "a"], ["b"], name="wide"),
        helper.make_node("Cast", ["b"], ["c"], to=TensorProto.FLOAT16),
        helper.make_node("MatMul", ["c", "c"], ["d"], name="narrow"),
    ]
    graph = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [2, 2])],
        [helper.make_tensor_value_info("d", TensorProto.FLOAT16, [2, 2])],
    )
    assert kept_fp32(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])) == ("wide",)


def test_every_photograph_given_is_compared(fp32: Path, tmp_path: Path) -> None:
    alone = to_fp16(fp32, tmp_path / "one.onnx", [packaged_photograph()]).difference
    both = to_fp16(
        fp32, tmp_path / "two.onnx", [packaged_photograph(), packaged_photograph()[::-1, ::-1].copy()]
    ).difference
    assert both.largest >= alone.largest
    assert both.mean != alone.mean
