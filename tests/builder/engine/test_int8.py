"""The mobile network as INT8 by NVIDIA's quantiser, through NVIDIA's parser and builder, on the host test bed."""

from pathlib import Path

import onnx
import pytest

from br2net.builder import export_onnx
from br2net.builder.comparison import packaged_photograph
from br2net.builder.engine import BuildOptions, build_engine
from br2net.network import NAMED_CONFIGS, BR2Net, Checkpoint
from br2net.network.checkpoint import ModelFacts
from br2net.runtime.metadata import METADATA_KEY
from br2net.runtime.preprocessing import preprocess

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
