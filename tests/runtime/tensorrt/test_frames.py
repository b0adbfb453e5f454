"""Frames in, maps of their size out, with the CUDA kernels' own source compiled for the CPU, against the path by the CPU."""

import ctypes
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from br2net.errors import CudaError, InputError
from br2net.runtime import InferenceOptions, open_backend
from br2net.runtime.native import installed, status
from br2net.runtime.tensorrt import TensorRTBackend
from br2net.types import Frame
from tests.runtime.cuda.host_memory import SCHEDULES
from tests.runtime.native.emulated import EmulatedCuda, build
from tests.runtime.native.test_cuda_kernels import pretend_kernels_are_built

from .conftest import record
from .fake_engine import FakeEngine

SIZES = ((150, 100), (64, 32), (31, 47), (200, 20), (150, 100))

pytestmark = pytest.mark.skipif(
    not (status().built and shutil.which("c++")), reason="the native part is not compiled, or there is no C++ compiler"
)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return build(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(params=SCHEDULES)
def open_emulated(
    request: pytest.FixtureRequest, tiny_onnx: Path, kernels: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    if not installed.FATBIN.is_file():
        pretend_kernels_are_built(monkeypatch)
    with ExitStack() as stack:

        def open_it(
            graphs: bool = True, smallest: int = 1, half: bool = False, **options: Any
        ) -> tuple[TensorRTBackend, FakeEngine]:
            engine = FakeEngine(tiny_onnx, half=half)

            def new_device() -> Any:
                device: Any = engine.new_device(EmulatedCuda, schedule=request.param, **options)
                device.library = kernels
                return device

            sidecar = record(smallest, max(2, smallest))
            backend = TensorRTBackend.of_parts(new_device, engine, sidecar, InferenceOptions(), graphs=graphs)
            stack.enter_context(backend)
            return backend, engine

        yield open_it


def frames() -> list[Frame]:
    """Smooth textures of several sizes; one is not contiguous."""
    made = []
    for number, (width, height) in enumerate(SIZES):
        coarse = np.random.default_rng(number).integers(0, 256, (10, 15, 3), dtype=np.uint8)
        made.append(np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8))
    made[0] = made[0][:, ::-1]
    return made


@pytest.fixture
def expected(tiny_onnx: Path) -> list[NDArray[np.float32]]:
    with open_backend(tiny_onnx, "onnxruntime") as backend:
        return [backend.detect([frame])[0] for frame in frames()]


@pytest.mark.parametrize("graphs", [True, False])
@pytest.mark.parametrize("integrated", [True, False])
def test_frames_of_any_sizes_have_the_maps_that_the_cpu_gives(
    open_emulated: Any, expected: list[NDArray[np.float32]], graphs: bool, integrated: bool
) -> None:
    backend, _ = open_emulated(graphs=graphs, integrated=integrated)
    for _ in range(2):
        maps = backend.detect(frames())
        for one, other, frame in zip(maps, expected, frames(), strict=True):
            assert one.shape == frame.shape[:2] and one.dtype == np.float32
            assert np.abs(one - other).max() < 1e-5


def test_one_frame_at_a_time_becomes_a_graph_from_the_third_on(
    open_emulated: Any, expected: list[NDArray[np.float32]]
) -> None:
    backend, engine = open_emulated()
    enqueued = []
    for _ in range(4):
        assert np.abs(backend.detect(frames()[:1])[0] - expected[0]).max() < 1e-5
        enqueued.append(sum(context.enqueued for context in engine.contexts))
    assert enqueued == [1, 2, 2, 2]


def test_a_batch_that_the_engine_cannot_take_is_filled_up(
    open_emulated: Any, expected: list[NDArray[np.float32]]
) -> None:
    backend, _ = open_emulated(smallest=2)
    for one, other in zip(backend.detect(frames()[:3]), expected[:3], strict=True):
        assert np.abs(one - other).max() < 1e-5


def test_half_precision_goes_through_both_kernels(open_emulated: Any, expected: list[NDArray[np.float32]]) -> None:
    backend, _ = open_emulated(half=True)
    for one, other in zip(backend.detect(frames()), expected, strict=True):
        assert np.abs(one - other).max() < 0.01


def test_maps_are_the_callers_and_nothing_is_left(open_emulated: Any, expected: list[NDArray[np.float32]]) -> None:
    backend, engine = open_emulated()
    first = backend.detect(frames()[:1])[0]
    backend.detect(frames()[1:2])
    times = backend.device_times()
    assert times is not None and times.compute_ms > 0.0
    backend.close()
    assert np.abs(first - expected[0]).max() < 1e-5
    assert [item for device in engine.devices for item in device.in_use()] == []


def test_no_frame_is_refused(open_emulated: Any) -> None:
    with pytest.raises(InputError, match="at least one frame"):
        open_emulated()[0].detect([])


def test_where_kernels_cannot_be_loaded_the_cpu_prepares_frames_and_that_is_said(
    open_emulated: Any,
    expected: list[NDArray[np.float32]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    request: pytest.FixtureRequest,
) -> None:
    # Said once a process for each reason, so every test here needs a reason of its own: not an id(), which may come again.
    reason = f"CUDA failed while loading its kernels: no kernel image is available ({request.node.nodeid})."

    def refuse(self: EmulatedCuda, image: bytes) -> None:
        raise CudaError(reason)

    monkeypatch.setattr(EmulatedCuda, "load_module", refuse)
    for _ in range(2):
        backend, _ = open_emulated()
        for _ in range(2):
            assert np.abs(backend.detect(frames()[:1])[0] - expected[0]).max() < 1e-5
    assert [item.message for item in caplog.records].count(
        f"Frames are resized by the CPU and not on the GPU: {reason}"
    ) == 1  # fmt: skip
