"""One-file models: the detector's map from frames of any size, on other runtimes, without this package's code."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
from numpy.typing import NDArray

from br2net.builder import with_preprocessing
from br2net.builder.comparison import Tolerance, packaged_photograph
from br2net.builder.inspection import inspect_onnx
from br2net.builder.with_preprocessing import add_preprocessing
from br2net.detector import Detector
from br2net.errors import GateError, InputError, ModelError
from br2net.types import Frame
from br2net.zoo import find_model

SIZES = {  # width and height, of input 384x384
    "smaller_by_area": (640, 427),
    "as_it_is": (384, 384),
    "exactly_half": (768, 768),
    "exactly_a_third": (1152, 1152),
    "larger": (200, 150),
    "larger_across_only": (300, 500),
    "larger_down_only": (700, 200),
    "one_pixel_off": (385, 383),
    "full_hd": (1920, 1080),
}


@pytest.fixture(scope="module")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("one") / "mobile.onnx"
    add_preprocessing(find_model("mobile"), path)
    return path


@pytest.fixture(scope="module")
def expected() -> dict[str, tuple[Frame, NDArray[np.float32]]]:
    """Frames and the detector's maps of them, by ONNX Runtime."""
    photograph = packaged_photograph()
    with Detector.load("mobile", backend="onnxruntime") as detector:
        frames = {
            name: np.asarray(cv2.resize(photograph, size, interpolation=cv2.INTER_CUBIC), np.uint8)
            for name, size in SIZES.items()
        }
        return {name: (frame, detector(frame).map) for name, frame in frames.items()}


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_every_size_gives_the_detectors_map_to_one_grey_level(
    one_file: Path, expected: dict[str, tuple[Frame, NDArray[np.float32]]], runtime: str
) -> None:
    if runtime == "onnxruntime":
        session = onnxruntime.InferenceSession(str(one_file), providers=["CPUExecutionProvider"])
        maps = {name: session.run(None, {"frames": frame[None]})[0] for name, (frame, _) in expected.items()}
    else:
        model = openvino.Core().compile_model(str(one_file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        maps = {name: model([frame[None]])[0].copy() for name, (frame, _) in expected.items()}
    shapes = {name: item.shape for name, item in maps.items()}
    assert shapes == {name: (1, height, width) for name, (width, height) in SIZES.items()}
    gaps = {name: 255.0 * float(np.abs(maps[name][0] - blur).max()) for name, (_, blur) in expected.items()}
    assert all(gap <= 1.0 for gap in gaps.values()), gaps


def test_pixels_reach_the_model_as_the_detector_gives_them(tmp_path: Path, tiny_onnx: Path) -> None:
    """With a model that gives its own input back, so that no network evens out a difference."""
    model = onnx.load(tiny_onnx)
    del model.graph.node[:], model.graph.initializer[:]
    helper = onnx.helper
    model.graph.node.append(helper.make_node("Slice", ["image", "from", "to", "axis"], ["red"]))
    for name, value in (("from", 0), ("to", 1), ("axis", 1)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([value], np.int64), name))
    scale, shift = (np.array(value, np.float32) for value in (0.229, 0.485))
    for name, value in (("scale", scale), ("shift", shift)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    model.graph.node.append(helper.make_node("Mul", ["red", "scale"], ["scaled"]))
    model.graph.node.append(helper.make_node("Add", ["scaled", "shift"], ["blur"]))
    onnx.save(model, tmp_path / "red.onnx")
    add_preprocessing(tmp_path / "red.onnx", tmp_path / "one.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "one.onnx"), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    for width, height in ((128, 64), (64, 32), (150, 100), (40, 20), (40, 50), (90, 20), (640, 320)):
        frames = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
        found = session.run(None, {"frames": frames})[0]
        for frame, red in zip(frames, found, strict=True):
            small = frame
            if width > 64 or height > 32:
                between = (min(width, 64), min(height, 32))
                small = np.asarray(cv2.resize(frame, between, interpolation=cv2.INTER_AREA), np.uint8)
            small = np.asarray(cv2.resize(small, (64, 32), interpolation=cv2.INTER_LINEAR), np.uint8)
            level = small[:, :, 2].astype(np.float32) / 255.0
            expected = cv2.resize(level, (width, height), interpolation=cv2.INTER_LINEAR)
            assert np.abs(255.0 * (red - expected)).max() <= 1.001
            assert np.abs(255.0 * (red - expected)).mean() <= 0.01


def test_the_file_is_valid_onnx_and_keeps_its_metadata(one_file: Path) -> None:
    onnx.checker.check_model(str(one_file), full_check=True)
    keys = {entry.key: entry.value for entry in onnx.load(one_file).metadata_props}
    assert '"name": "mobile"' in keys["br2net"]


def test_its_work_is_counted_at_a_frame_of_the_models_size(one_file: Path) -> None:
    facts = inspect_onnx(one_file)
    assert facts.metadata is not None
    assert facts.counted_size == (1, facts.metadata.height, facts.metadata.width, 3)


def test_this_runtime_says_that_the_file_is_for_others(one_file: Path) -> None:
    with pytest.raises(ModelError, match="exported --with-preprocessing, for other runtimes"):
        Detector.load(one_file)


def test_a_file_that_differs_does_not_appear(tiny_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(with_preprocessing, "ONE_LEVEL", Tolerance(0.0, 0.0))
    with pytest.raises(GateError, match="differ from the detector's"):
        add_preprocessing(tiny_onnx, tmp_path / "one.onnx")
    assert not (tmp_path / "one.onnx").exists()


def test_a_name_that_is_not_onnx_is_refused(tiny_onnx: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must end in \.onnx"):
        add_preprocessing(tiny_onnx, tmp_path / "x.engine")
