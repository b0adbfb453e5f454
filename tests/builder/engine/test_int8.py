"""INT8 files, NVIDIA's quantiser's and ours, through NVIDIA's parser and builder, on the host test bed."""

from pathlib import Path

import onnx
import pytest

from br2net.builder import export_onnx
from br2net.builder.comparison import packaged_photograph
from br2net.builder.engine import BuildOptions, build_engine
from br2net.builder.engine.options import parse_profile
from br2net.calibration.activations import measure
from br2net.calibration.layers import matching, read_float_model
from br2net.calibration.quantiser import Quantiser
from br2net.network import NAMED_CONFIGS, BR2Net, Checkpoint
from br2net.network.checkpoint import ModelFacts
from br2net.runtime.metadata import METADATA_KEY
from br2net.runtime.preprocessing import preprocess
from br2net.zoo import find_model

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("testbed")]


def test_an_int8_file_of_the_quantiser_builds(tmp_path: Path) -> None:
    from modelopt.onnx.quantization import quantize

    fp32, int8 = tmp_path / "mobile.onnx", tmp_path / "mobile-int8.onnx"
    metadata = export_onnx(Checkpoint(BR2Net(NAMED_CONFIGS["mobile"]).eval(), ModelFacts("mobile")), fp32)
    batch = preprocess([packaged_photograph()], metadata.width, metadata.height, metadata.normalisation)
    quantize(
        str(fp32),
        quantize_mode="int8",
        calibration_method="max",
        calibration_eps=["cpu"],
        calibration_data={"image": batch},
        high_precision_dtype="fp16",
        output_path=str(int8),
    )
    model = onnx.load(int8)
    assert "QuantizeLinear" in {node.op_type for node in model.graph.node}
    onnx.helper.set_model_props(model, {METADATA_KEY: metadata.with_precision("int8").to_json()})
    onnx.save(model, int8)
    engine = int8.with_suffix(".engine")
    record = build_engine(int8, engine, BuildOptions(targets=("any",)))
    print(f"int8 plan {record.plan_size_bytes / 1e6:.1f} MB")
    assert record.model.precision == "int8"
    assert engine.read_bytes()[:4] == b"vtrt"


def test_the_shipped_int8_model_builds(tmp_path: Path) -> None:
    options = BuildOptions(profile=parse_profile("1", "384x384"), targets=("any",))
    record = build_engine(find_model("mobile-int8"), tmp_path / "x.engine", options)
    assert record.model.precision == "int8"
    assert (tmp_path / "x.engine").read_bytes()[:4] == b"vtrt"


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The paper's network of random weights, fp32, at a size that is quick to calibrate."""
    path = tmp_path_factory.mktemp("paper") / "paper.onnx"
    export_onnx(Checkpoint(BR2Net(NAMED_CONFIGS["resnext101"]).eval(), ModelFacts("paper", 96, 96)), path)
    return path


@pytest.mark.parametrize("in_fp16", [False, True], ids=["fp32 remainder", "fp16 remainder"])
def test_the_papers_network_as_int8_builds(paper: Path, tmp_path: Path, in_fp16: bool) -> None:
    fp32, int8 = paper, tmp_path / "paper-int8.onnx"
    float32, frames = read_float_model(fp32), [packaged_photograph()]
    metadata = float32.metadata
    quantiser = Quantiser(float32, measure(float32, frames, correct_bias=False))
    kept = matching(float32.layers, ["gate", "map"])
    model = quantiser.int8_in_fp16(kept, frames) if in_fp16 else quantiser.int8(kept)
    onnx.helper.set_model_props(model, {METADATA_KEY: metadata.with_precision("int8").to_json()})
    onnx.save(model, int8)
    record = build_engine(int8, int8.with_suffix(".engine"), BuildOptions(targets=("any",)))
    print(f"int8 plan {record.plan_size_bytes / 1e6:.1f} MB, of a float32 file of {fp32.stat().st_size / 1e6:.1f} MB")
    assert record.plan_size_bytes < 0.4 * fp32.stat().st_size
