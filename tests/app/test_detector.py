"""The detector on arrays, paths and lists of them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from br2net import Camera, Detector
from br2net.detector import FRAMES_AT_ONCE
from br2net.errors import ImageError, InputError, ModelError
from br2net.runtime import InferenceOptions
from br2net.runtime.tensorrt import TensorRTBackend
from br2net.types import Frame
from tests.runtime.cuda.host_memory import HostMemoryCuda
from tests.runtime.tensorrt.conftest import emulated, kernels_library, record
from tests.runtime.tensorrt.fake_engine import FakeEngine

__all__ = ["emulated", "kernels_library"]  # fixtures

OnnxMaker = Callable[..., Path]


@pytest.fixture
def detector(tiny_onnx: Path) -> Iterator[Detector]:
    with Detector.load(tiny_onnx, precision="fp32") as loaded:
        yield loaded


def test_a_frame_of_the_input_size_gives_the_map_of_the_network(
    detector: Detector, tiny_onnx: Path, photograph: Frame
) -> None:
    frame = photograph[:32, :64]
    rgb = frame[:, :, ::-1].astype(np.float32) / 255.0
    normalised = (rgb - detector.metadata.normalisation.mean) / detector.metadata.normalisation.std
    batch = normalised.transpose(2, 0, 1)[None].astype(np.float32)
    expected: Any = ReferenceEvaluator(onnx.load(tiny_onnx)).run(None, {"image": batch})
    np.testing.assert_allclose(detector(frame).map, expected[0][0, 0], atol=1e-4)


def test_a_map_has_the_size_of_its_frame_and_lies_in_0_to_1(detector: Detector, photograph: Frame) -> None:
    result = detector(photograph)
    assert result.map.shape == (100, 150)
    assert result.map.dtype == np.float32
    assert 0.0 <= result.map.min() <= result.map.max() <= 1.0
    assert result.latency_ms > 0.0


def test_a_path_gives_the_map_of_its_image(detector: Detector, photograph: Frame, tmp_path: Path) -> None:
    path = tmp_path / "photograph.png"
    cv2.imwrite(str(path), photograph)
    expected = detector(photograph).map
    np.testing.assert_array_equal(detector(path).map, expected)
    np.testing.assert_array_equal(detector(str(path)).map, expected)


def test_a_list_of_mixed_sizes_gives_the_maps_of_each_alone(
    detector: Detector, photograph: Frame, tmp_path: Path
) -> None:
    path = tmp_path / "photograph.png"
    cv2.imwrite(str(path), photograph[:40])
    frames = [photograph[: 10 + 7 * index, index:] for index in range(FRAMES_AT_ONCE + 2)]
    results = detector([*frames, path])
    assert len(results) == FRAMES_AT_ONCE + 3
    for result, frame in zip(results, [*frames, photograph[:40]], strict=True):
        np.testing.assert_allclose(result.map, detector(frame).map, atol=1e-5)


def test_an_empty_list_gives_an_empty_list(detector: Detector) -> None:
    assert detector([]) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1)])
def test_frames_of_extreme_shapes_have_maps(detector: Detector, shape: tuple[int, int]) -> None:
    assert detector(np.zeros((*shape, 3), np.uint8)).map.shape == shape


def test_views_and_frames_that_cannot_be_written_to_are_frames(detector: Detector, photograph: Frame) -> None:
    for view in (photograph[:, ::-1], photograph[::2], photograph.transpose(1, 0, 2), photograph[..., ::-1]):
        np.testing.assert_array_equal(detector(view).map, detector(np.ascontiguousarray(view)).map)
    photograph.flags.writeable = False
    assert detector(photograph).overlay(photograph).shape == photograph.shape


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_frame_is_refused(detector: Detector, frame: Frame) -> None:
    with pytest.raises(ImageError, match=r"A frame is uint8 of shape \(H, W, 3\), BGR; this is "):
        detector(frame)
    with pytest.raises(ImageError):
        detector([frame])


def test_a_list_of_something_else_is_refused(detector: Detector) -> None:
    with pytest.raises(ImageError, match="this is int"):
        detector([1])  # type: ignore[list-item]  # that is the point


def test_a_model_of_fixed_batch_size_takes_lists_of_any_length(make_onnx: OnnxMaker, photograph: Frame) -> None:
    with Detector.load(make_onnx(batch=1, height=32, width=64), precision="fp32") as detector:
        results = detector([photograph, photograph[:50], photograph])
        np.testing.assert_array_equal(results[0].map, results[2].map)
        assert results[1].map.shape == (50, 150)


def test_a_model_of_fixed_size_refuses_another_with_the_command(make_onnx: OnnxMaker) -> None:
    with pytest.raises(InputError, match=r"`br2net export … --size 96x96`"):
        Detector.load(make_onnx(batch=1, height=32, width=64), size=(96, 96))


def test_an_unknown_model_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="neither a file nor a shipped model"):
        Detector.load("telescope")


def test_streaming_gives_each_frame_with_the_map_that_the_detector_makes_of_it(tiny_onnx: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for index in range(4):
        cv2.imwrite(str(tmp_path / f"{index}.png"), rng.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    with Detector.load(tiny_onnx, precision="fp32") as detector, Camera(tmp_path) as camera:
        pairs = list(detector.stream(camera))
        assert len(pairs) == 4
        for index, (frame, blur) in enumerate(pairs):
            assert np.array_equal(frame, cv2.imread(str(tmp_path / f"{index}.png")))
            np.testing.assert_allclose(blur.map, detector(frame).map, atol=1e-6)


def test_a_stream_that_is_left_can_be_taken_up_again(tiny_onnx: Path, tmp_path: Path) -> None:
    for index in range(9):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((40, 60, 3), index, np.uint8))
    with Detector.load(tiny_onnx) as detector, Camera(tmp_path) as camera:
        first, _ = next(iter(detector.stream(camera)))
        *_, (last, _) = detector.stream(camera)
    assert (first[0, 0, 0], last[0, 0, 0]) == (0, 8)


def engine_backend(tiny_onnx: Path, kind: Callable[..., HostMemoryCuda] = HostMemoryCuda) -> TensorRTBackend:
    engine = FakeEngine(tiny_onnx)
    return TensorRTBackend(engine.new_device(kind), engine, record(), InferenceOptions())


def test_a_map_in_gpu_memory_is_that_of_the_detector(
    tiny_onnx: Path, photograph: Frame, emulated: Callable[..., HostMemoryCuda]
) -> None:
    with Detector(engine_backend(tiny_onnx, emulated)) as detector, detector.infer_on_device(photograph) as there:
        assert there.shape == photograph.shape[:2]
        np.testing.assert_array_equal(there.to_host(), detector(photograph).map)


def test_a_backend_without_gpu_memory_refuses_a_map_there(detector: Detector, photograph: Frame) -> None:
    with pytest.raises(InputError, match="no maps in GPU memory"):
        detector.infer_on_device(photograph)


def test_an_engine_is_detected_with_like_any_model(tiny_onnx: Path, photograph: Frame) -> None:
    with (
        Detector(engine_backend(tiny_onnx)) as detector,
        Detector.load(tiny_onnx, backend="onnxruntime") as reference,
    ):
        for one, other in zip(detector([photograph] * 5), reference([photograph] * 5), strict=True):
            assert np.abs(one.map - other.map).max() < 1e-5


def test_threads_share_a_detector(detector: Detector, photograph: Frame) -> None:
    frames = [photograph[:, shift:] for shift in range(12)]
    expected = [result.map for result in detector(frames)]
    with ThreadPoolExecutor(4) as threads:
        for result, wanted in zip(threads.map(detector, frames), expected, strict=True):
            np.testing.assert_allclose(result.map, wanted, atol=1e-5)
