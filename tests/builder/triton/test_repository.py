"""Model repositories, read back by the protobuf of NVIDIA's own client."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from br2net.builder.triton.repository import ServingOptions, deploy
from br2net.builder.with_preprocessing import add_preprocessing
from br2net.errors import InputError, ModelError
from br2net.runtime.engine_file import EngineRecord, InputShape, Library, Profile, write_engine
from br2net.runtime.metadata import IMAGENET, ModelMetadata
from tests.conftest import OnnxMaker

model_config_pb2 = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="tritonclient is not installed")
from google.protobuf import text_format  # noqa: E402


def read(folder: Path) -> Any:
    """The configuration as Triton parses it: an unknown field or a wrong type is an error."""
    return text_format.Parse((folder / "config.pbtxt").read_text(encoding="utf-8"), model_config_pb2.ModelConfig())


def test_an_onnx_file_of_open_batch_is_batched_and_warmed_up(make_onnx: OnnxMaker, tmp_path: Path) -> None:
    done = deploy(make_onnx(height=32, width=64), tmp_path / "repository", ServingOptions(delay_us=500, instances=2))
    config = read(done.folder)
    assert (config.name, config.backend, config.max_batch_size) == ("tiny", "onnxruntime", 8)
    assert [(item.name, list(item.dims)) for item in config.input] == [("image", [3, 32, 64])]
    assert [(item.name, list(item.dims)) for item in config.output] == [("blur", [1, 32, 64])]
    assert config.dynamic_batching.max_queue_delay_microseconds == 500
    assert [(group.count, group.kind) for group in config.instance_group] == [
        (2, model_config_pb2.ModelInstanceGroup.KIND_GPU)
    ]
    warm = [(item.batch_size, list(item.inputs["image"].dims)) for item in config.model_warmup]
    assert warm == [(1, [3, 32, 64]), (8, [3, 32, 64])]
    assert (done.folder / "1" / "model.onnx").is_file()


def test_the_models_facts_travel_in_the_configuration(make_onnx: OnnxMaker, tmp_path: Path) -> None:
    facts = ModelMetadata("tiny", '{"quoted": "\\"\\\\"}', "none", 64, 32, IMAGENET, licence="Größe ½, \x7f")
    done = deploy(make_onnx(metadata=facts.to_json()), tmp_path / "repository", ServingOptions())
    assert ModelMetadata.from_json(read(done.folder).parameters["br2net"].string_value) == facts


def test_open_sides_are_warmed_up_at_the_models_default_size(make_onnx: OnnxMaker, tmp_path: Path) -> None:
    config = read(deploy(make_onnx(), tmp_path / "repository", ServingOptions()).folder)
    assert list(config.input[0].dims) == [3, -1, -1]
    assert list(config.model_warmup[0].inputs["image"].dims) == [3, 32, 64]


def test_a_fixed_batch_is_not_batched(make_onnx: OnnxMaker, tmp_path: Path) -> None:
    config = read(
        deploy(make_onnx(batch=1, height=32, width=64), tmp_path / "repository", ServingOptions(gpu=False)).folder
    )
    assert config.max_batch_size == 0 and not config.HasField("dynamic_batching")
    assert list(config.input[0].dims) == [1, 3, 32, 64]
    assert config.instance_group[0].kind == model_config_pb2.ModelInstanceGroup.KIND_CPU
    assert list(config.model_warmup[0].inputs["image"].dims) == [1, 3, 32, 64]


def test_a_one_file_model_takes_frames_of_any_size(make_onnx: OnnxMaker, tmp_path: Path) -> None:
    add_preprocessing(make_onnx(height=32, width=64), tmp_path / "frames.onnx")
    config = read(deploy(tmp_path / "frames.onnx", tmp_path / "repository", ServingOptions()).folder)
    entry, exit_ = config.input[0], config.output[0]
    assert (entry.name, entry.data_type, list(entry.dims)) == ("frames", model_config_pb2.TYPE_UINT8, [-1, -1, 3])
    assert (exit_.name, exit_.data_type, list(exit_.dims)) == ("map", model_config_pb2.TYPE_FP32, [-1, -1])


def test_an_engine_is_served_by_tensorrt_within_its_profile(tmp_path: Path) -> None:
    profile = Profile(InputShape(1, 64, 32), InputShape(2, 64, 32), InputShape(4, 96, 32))
    facts = ModelMetadata("tiny", "{}", "none", 64, 32, IMAGENET)
    record = EngineRecord(facts, Library("tensorrt", "10.3.0"), "GPU", ("8.7",), profile, "tiny.onnx", "", "", 3)
    write_engine(tmp_path / "tiny.engine", b"plan", record)
    done = deploy(tmp_path / "tiny.engine", tmp_path / "repository", ServingOptions())
    config = read(done.folder)
    assert (config.backend, config.max_batch_size, list(config.input[0].dims)) == ("tensorrt", 4, [3, 32, -1])
    assert (done.folder / "1" / "model.plan").read_bytes() == b"plan"


def test_the_same_file_keeps_its_version_and_another_becomes_the_next(make_onnx: OnnxMaker, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    first, other = make_onnx(), make_onnx("other.onnx", batch=1)
    versions = [deploy(model, repository, ServingOptions(), "blur").version for model in (first, first, other, other)]
    assert versions == [1, 1, 2, 2]
    assert (repository / "blur" / "1" / "model.onnx").read_bytes() == first.read_bytes()


def test_the_python_backend_gets_its_program(make_onnx: OnnxMaker, tmp_path: Path) -> None:
    done = deploy(make_onnx(), tmp_path / "repository", ServingOptions("python"))
    program = (done.folder / "1" / "model.py").read_text(encoding="utf-8")
    assert read(done.folder).backend == "python" and "class TritonPythonModel" in program


def test_what_cannot_be_served_is_one_sentence(tiny_onnx: Path, make_onnx: OnnxMaker, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"backend tensorrt does not read \.onnx files"):
        deploy(tiny_onnx, tmp_path, ServingOptions("tensorrt"))
    with pytest.raises(InputError, match="name must consist of"):
        deploy(tiny_onnx, tmp_path, ServingOptions(), "../elsewhere")
    with pytest.raises(ModelError, match="carries no br2net metadata"):
        deploy(make_onnx("bare.onnx", metadata=""), tmp_path, ServingOptions())
    with pytest.raises(ModelError, match="is neither an engine nor an ONNX file"):
        deploy(tmp_path / "x.pth", tmp_path, ServingOptions())
    with pytest.raises(InputError, match="at least 1"):
        ServingOptions(largest_batch=0)


def test_a_file_whose_quantisers_onnx_runtime_would_cut_is_refused(tiny_onnx: Path, tmp_path: Path) -> None:
    model = onnx.load(tiny_onnx)
    model.graph.initializer.append(numpy_helper.from_array(np.array(0.5, np.float16), "scale"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(0, np.int8), "zero"))
    model.graph.node.append(helper.make_node("Cast", ["blur"], ["half"], to=TensorProto.FLOAT16))
    model.graph.node.append(helper.make_node("QuantizeLinear", ["half", "scale", "zero"], ["quantised"]))
    onnx.save(model, tmp_path / "half.onnx")
    with pytest.raises(ModelError, match="calibrate without --remainder fp16"):
        deploy(tmp_path / "half.onnx", tmp_path / "repository", ServingOptions())
    assert not (tmp_path / "repository").exists()
