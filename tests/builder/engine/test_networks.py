"""BR²Net itself through NVIDIA's parser and builder, on the host test bed. Plan sizes and build times are printed (`-s`)."""

import time
from pathlib import Path

import pytest

from br2net.builder import ExportOptions, export_onnx
from br2net.builder.engine import BuildOptions, build_engine
from br2net.builder.engine.options import parse_profile
from br2net.builder.precision import to_fp16
from br2net.network import NAMED_CONFIGS, BR2Net, Checkpoint
from br2net.network.checkpoint import ModelFacts
from br2net.runtime.engine_file import EngineRecord, Profile
from br2net.runtime.model_file import read_model_file

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("testbed")]
LARGEST_FP16_SHARE = 0.6  # of the fp32 plan; half, and what is not weights


def export(network: str, folder: Path, options: ExportOptions | None = None) -> Path:
    """A network of random weights, as fp32 ONNX."""
    path = folder / f"{network}.onnx"
    export_onnx(Checkpoint(BR2Net(NAMED_CONFIGS[network]).eval(), ModelFacts(network)), path, options)
    return path


def build(onnx: Path, profile: Profile | None = None) -> EngineRecord:
    started = time.perf_counter()
    engine = onnx.with_suffix(".engine")
    record = build_engine(onnx, engine, BuildOptions(profile=profile, targets=("any",)))
    seconds = time.perf_counter() - started
    print(
        f"\n{onnx.name}: {record.profile}, {record.plan_size_bytes / 1e6:.1f} MB in {seconds:.1f} s by {record.library}"
    )
    assert engine.stat().st_size == record.plan_size_bytes
    assert engine.read_bytes()[:4] == b"vtrt"
    return record


@pytest.mark.parametrize("network", ["mobile", "resnext101"])
def test_fp32_and_fp16_build_and_the_fp16_plan_is_little_more_than_half(network: str, tmp_path: Path) -> None:
    fp32 = export(network, tmp_path)
    fp16 = tmp_path / f"{network}-fp16.onnx"
    to_fp16(fp32, fp16)
    wide, narrow = build(fp32), build(fp16)
    assert narrow.model.precision == "fp16"
    assert narrow.plan_size_bytes <= LARGEST_FP16_SHARE * wide.plan_size_bytes


def test_the_plain_paper_network_builds(tmp_path: Path) -> None:
    assert build(export("resnext101", tmp_path, ExportOptions(plain=True))).model.form == "plain"


def test_a_network_of_free_batch_and_size_builds_for_a_profile_in_both_precisions(tmp_path: Path) -> None:
    fp32 = export("mobile", tmp_path, ExportOptions(batch=None, any_size=True))
    fp16 = tmp_path / "mobile-fp16.onnx"
    to_fp16(fp32, fp16)
    profile = parse_profile("1:2:4", "256x256:320x320:640x480")
    assert build(fp32, profile).profile == profile
    assert build(fp16, profile).profile == profile


def test_an_int8_file_from_modelopt_builds(tmp_path: Path) -> None:
    import numpy as np
    import onnx
    from modelopt.onnx.quantization import quantize

    from br2net.builder.comparison import packaged_photograph
    from br2net.runtime.metadata import METADATA_KEY
    from br2net.runtime.preprocessing import preprocess

    fp32, int8 = export("mobile", tmp_path), tmp_path / "mobile-int8.onnx"
    metadata = read_model_file(fp32).metadata
    batch = preprocess([packaged_photograph()], metadata.width, metadata.height, metadata.normalisation)
    quantize(
        str(fp32),
        quantize_mode="int8",
        calibration_method="max",
        calibration_eps=["cpu"],
        calibration_data={"image": np.asarray(batch)},
        high_precision_dtype="fp16",
        output_path=str(int8),
    )
    model = onnx.load(int8)
    assert "QuantizeLinear" in {node.op_type for node in model.graph.node}
    onnx.helper.set_model_props(model, {METADATA_KEY: metadata.with_precision("int8").to_json()})
    onnx.save(model, int8)
    assert build(int8).plan_size_bytes < build(fp32).plan_size_bytes
