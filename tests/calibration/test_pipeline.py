"""What a calibration leaves behind: its cache, its files, and nothing where it was interrupted or refused."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto, numpy_helper

from br2net.calibration import CalibrationOptions, GateLimits, Outcome, SetRequest, gather
from br2net.calibration import calibrate as run
from br2net.calibration import pipeline as pipeline_module
from br2net.calibration.gate import maps_of
from br2net.errors import GateError
from br2net.runtime.model_file import read_model_file
from br2net.types import Frame, Map


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def calibrate(model: Path, folder: Path, output: Path, options: CalibrationOptions | None = None) -> Outcome:
    gathered = gather(model, SetRequest((str(folder),)))
    frames = [item.frame for item in gathered.chosen.frames]
    return run(model, output, frames, gathered.manifest, gathered.gate, options or CalibrationOptions())


def test_same_model_and_set_reuse_the_calibration(model: Path, photo_folder: Path, tmp_path: Path) -> None:
    first, again = (calibrate(model, photo_folder, tmp_path / f"{index}.onnx") for index in range(2))
    assert (first.reused, again.reused) == (False, True)
    assert first.gate == again.gate


def test_another_photograph_model_or_bias_option_is_calibrated_again(
    model: Path, photo_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "x.onnx"
    calibrate(model, photo_folder, output)
    assert calibrate(model, photo_folder, output, CalibrationOptions(correct_bias=False)).reused is False
    image = cv2.imread(str(photo_folder / "03.png"))
    cv2.imwrite(str(photo_folder / "03.png"), cv2.add(image, (1, 1, 1, 0)))
    assert calibrate(model, photo_folder, output).reused is False
    proto = onnx.load(model)
    proto.producer_name = "another"
    onnx.save(proto, model)
    assert calibrate(model, photo_folder, output).reused is False


def test_a_damaged_cache_file_is_made_anew(model: Path, photo_folder: Path, tmp_path: Path, own_cache: Path) -> None:
    calibrate(model, photo_folder, tmp_path / "x.onnx")
    (kept,) = files(own_cache)
    kept.write_text(kept.read_text(encoding="utf-8")[:-40], encoding="utf-8")
    assert calibrate(model, photo_folder, tmp_path / "x.onnx").reused is False


@pytest.mark.parametrize("step", ["measure", "measure_sensitivity", "_save", "maps_of_file"])
def test_an_interrupted_run_leaves_nothing(
    model: Path, photo_folder: Path, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline_module, step, interrupt)
    with pytest.raises(KeyboardInterrupt):
        calibrate(model, photo_folder, tmp_path / "out" / "x.onnx", CalibrationOptions(sensitivity="block"))
    assert files(tmp_path / "out") == set()
    assert len(files(own_cache)) == (0 if step == "measure" else 1)  # what was measured whole is kept


def test_the_file_tells_its_calibration_and_its_figures(model: Path, photo_folder: Path, tmp_path: Path) -> None:
    outcome = calibrate(model, photo_folder, tmp_path / "x.onnx")
    texts = {item.key: item.value for item in onnx.load(tmp_path / "x.onnx").metadata_props}
    facts = json.loads(texts["br2net_calibration"])
    metadata = read_model_file(tmp_path / "x.onnx").metadata
    assert (metadata.name, metadata.precision) == ("small-int8", "int8")
    assert metadata.figures["int8_map_difference"] == pytest.approx(outcome.gate.difference, abs=1e-6)
    assert (facts["method"], facts["remainder"]) == ("mse", "fp32")
    assert facts["set"] == gather(model, SetRequest((str(photo_folder),))).manifest.digest()


def test_auto_keeps_what_the_gate_needs_and_no_more(model: Path, photo_folder: Path, tmp_path: Path) -> None:
    plain = calibrate(model, photo_folder, tmp_path / "a.onnx")
    limits = GateLimits(difference=plain.gate.difference * 0.7)
    with pytest.raises(GateError):
        calibrate(model, photo_folder, tmp_path / "b.onnx", CalibrationOptions(limits=limits))
    outcome = calibrate(
        model, photo_folder, tmp_path / "c.onnx", CalibrationOptions(limits=limits, auto=True, accept_drift=True)
    )
    assert outcome.gate.difference <= limits.difference
    assert set(plain.kept) < set(outcome.kept) < {layer.label for layer in outcome.layers}
    assert outcome.int8_macs < plain.int8_macs
    assert {item.group.name for item in outcome.sensitivity if item.stays} == set(outcome.kept)


def test_openvino_runs_every_int8_layer_as_int8(model: Path, photo_folder: Path, tmp_path: Path) -> None:
    calibrate(model, photo_folder, tmp_path / "x.onnx", replace(CalibrationOptions(), keep=()))
    core = openvino.Core()
    file = core.read_model(tmp_path / "x.onnx")
    file.reshape([1, 3, 64, 64])
    compiled = core.compile_model(file, "CPU", {"PERF_COUNT": True})
    request = compiled.create_infer_request()
    request.infer([np.zeros((1, 3, 64, 64), np.float32)])
    types = [item.exec_type for item in request.profiling_info if item.node_type.endswith("Convolution")]
    assert len(types) == 5
    assert all("I8" in name.upper() for name in types), types


@pytest.mark.slow
def test_with_a_float16_remainder_scales_are_float16_and_the_gate_sees_that_file(
    model: Path, photo_folder: Path, tmp_path: Path
) -> None:
    options = CalibrationOptions(remainder="fp16")
    outcome = calibrate(model, photo_folder, tmp_path / "x.onnx", options)
    graph = onnx.load(tmp_path / "x.onnx").graph
    constants = {item.name: item for item in graph.initializer}
    scales = [constants[node.input[1]] for node in graph.node if node.op_type == "DequantizeLinear"]
    assert {item.data_type for item in scales} == {TensorProto.FLOAT16}
    assert min(numpy_helper.to_array(item).min() for item in scales) > 0.0
    assert outcome.gate.difference != outcome.all_int8.difference
    assert outcome.gate.difference == pytest.approx(outcome.all_int8.difference, rel=0.5)
    assert outcome.gate.difference <= 0.01
    assert outcome.openvino is not None and outcome.openvino.difference <= 0.01


def test_a_file_that_holds_by_onnx_runtime_alone_is_refused_and_says_so(
    model: Path, photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def inverted(path: Path, frames: Sequence[Frame], backend: str) -> list[Map]:
        assert backend == "openvino"
        return [np.float32(1.0) - found for found in maps_of(onnx.load(path), frames)]

    monkeypatch.setattr(pipeline_module, "maps_of_file", inverted)
    with pytest.raises(GateError, match=r"by OpenVINO maps differ .* By ONNX Runtime the limits hold"):
        calibrate(model, photo_folder, tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()
    outcome = calibrate(model, photo_folder, tmp_path / "x.onnx", CalibrationOptions(accept_drift=True))
    assert outcome.broken and (tmp_path / "x.onnx").is_file()
