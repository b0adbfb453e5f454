"""Requests of the TensorRT backend against ONNX Runtime on the CPU: in host memory, under CUDA's rules, and on a GPU."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Queue
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from br2net.errors import BackendError, CudaError, InputError, ModelError, OutOfMemoryError
from br2net.runtime import InferenceOptions, open_backend
from br2net.runtime.backend import Request, detect
from br2net.runtime.postprocessing import Outputs, Wanted, overlay
from br2net.runtime.preprocessing import to_bgr
from br2net.runtime.tensorrt import TensorRTBackend
from br2net.runtime.tensorrt.request import REMEMBERED, StagingBuffer, TensorRTRequest
from br2net.runtime.tensorrt.session import check_options
from br2net.types import Frame, PixelFormat
from tests.runtime.cuda.host_memory import HostMemoryCuda
from tests.runtime.native.emulated import EmulatedCuda

from .conftest import HEIGHT, WIDTH, Opener, record
from .fake_engine import FakeEngine

TOLERANCE = 1e-3  # a GPU may compute FP32 in TF32; maps are 0..1
SIZES = ((150, 100), (64, 32), (30, 46), (200, 20), (150, 100), (2, 2))
MAPS = Wanted.MAP | Wanted.GREY | Wanted.FRACTION | Wanted.HISTOGRAM
Emulated = Callable[..., EmulatedCuda]
Expected = Callable[[Sequence[Frame]], list[NDArray[np.float32]]]
MODES = pytest.mark.parametrize(
    ("kernels", "graphs"),
    [(True, True), (True, False), (False, True), (False, False)],
    ids=["kernels-graph", "kernels-enqueued", "cpu-graph", "cpu-enqueued"],
)


def frames() -> list[Frame]:
    """Smooth textures of several sizes, all even; one is not contiguous."""
    made = []
    for number, (width, height) in enumerate(SIZES):
        coarse = np.random.default_rng(number).integers(0, 256, (10, 15, 3), dtype=np.uint8)
        made.append(np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8))
    made[0] = made[0][:, ::-1]
    return made


def in_format(frame: Frame, pixels: PixelFormat) -> Frame:
    """A frame as a camera of this pixel format gives it: OpenCV's I420, repacked."""
    if pixels is PixelFormat.BGR:
        return frame
    height, width = frame.shape[:2]
    planes = np.asarray(cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_BGR2YUV_I420)).ravel()
    luma = planes[: width * height].reshape(height, width)
    u, v = planes[width * height :].reshape(2, height // 2, width // 2)
    chroma = np.stack([u, v], -1).reshape(height // 2, width)
    if pixels is PixelFormat.NV12:
        return np.concatenate([luma, chroma])
    return np.stack([luma, np.repeat(chroma, 2, axis=0)], -1)


def close(one: NDArray[np.float32] | None, other: NDArray[np.float32], tolerance: float = TOLERANCE) -> bool:
    return one is not None and one.shape == other.shape and bool(np.abs(one - other).max() <= tolerance)


@pytest.fixture
def expected(tiny_onnx: Path) -> Expected:
    """Maps by ONNX Runtime with the CPU before and after it."""

    def compute(items: Sequence[Frame]) -> list[NDArray[np.float32]]:
        with open_backend(tiny_onnx, "onnxruntime") as backend:
            return [outputs.map for item in items for outputs in detect(backend, [item]) if outputs.map is not None]

    return compute


@MODES
@pytest.mark.parametrize("pixels", PixelFormat)
def test_frames_of_every_format_and_size_have_the_maps_of_the_cpu(
    open_engine: Opener, expected: Expected, kernels: bool, graphs: bool, pixels: PixelFormat
) -> None:
    backend = open_engine(kernels=kernels, graphs=graphs)
    given_frames = [in_format(frame, pixels) for frame in frames()]
    wanted = expected([to_bgr(frame, pixels) for frame in given_frames])
    for _ in range(2):  # the second time by a graph
        found = detect(backend, given_frames, pixels=pixels)
        assert len(found) == len(wanted)
        assert all(close(one.map, other) for one, other in zip(found, wanted, strict=True))


@pytest.mark.parametrize("kernels", [True, False])
def test_wanted_outputs_are_those_of_numpy_and_opencv(open_engine: Opener, kernels: bool) -> None:
    backend = open_engine(kernels=kernels)
    for frame, outputs in zip(frames(), detect(backend, frames(), MAPS | Wanted.OVERLAY, opacity=0.5), strict=True):
        blur = outputs.map
        assert blur is not None and outputs.grey is not None and outputs.histogram is not None
        assert blur.shape == outputs.grey.shape == frame.shape[:2]
        np.testing.assert_array_equal(outputs.grey, np.rint(blur * np.float32(255.0)).astype(np.uint8))
        np.testing.assert_array_equal(outputs.histogram, np.bincount(outputs.grey.ravel(), minlength=256))
        assert outputs.blurred_fraction == pytest.approx((blur >= 0.5).mean(), abs=1e-12)
        np.testing.assert_array_equal(outputs.overlay, overlay(frame, blur, 0.5))
        assert outputs.device_map is None


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("wanted", [Wanted.GREY, Wanted.FRACTION, Wanted.HISTOGRAM, Wanted.OVERLAY, Wanted.MAP])
def test_only_wanted_outputs_are_given(open_engine: Opener, kernels: bool, wanted: Wanted) -> None:
    (outputs,) = detect(open_engine(kernels=kernels), frames()[:1], wanted)
    names = {
        Wanted.MAP: "map",
        Wanted.GREY: "grey",
        Wanted.FRACTION: "blurred_fraction",
        Wanted.HISTOGRAM: "histogram",
        Wanted.OVERLAY: "overlay",
    }
    assert [name for name, value in vars(outputs).items() if value is not None] == [names[wanted]]


@pytest.mark.parametrize("kernels", [True, False])
def test_an_overlay_of_another_format_is_refused_and_the_map_still_comes(
    open_engine: Opener, expected: Expected, kernels: bool
) -> None:
    frame = in_format(frames()[0], PixelFormat.NV12)
    with open_engine(kernels=kernels).request() as request:
        request.prepare([frame], PixelFormat.NV12)
        request.run()
        with pytest.raises(InputError, match="overlay needs BGR frames, got NV12"):
            request.finish(Wanted.OVERLAY)
        (outputs,) = request.finish()
    assert close(outputs.map, expected([to_bgr(frame, PixelFormat.NV12)])[0])


@MODES
def test_a_batch_is_padded_to_a_size_of_the_profile(
    open_engine: Opener, expected: Expected, kernels: bool, graphs: bool
) -> None:
    backend = open_engine(smallest=2, typical=3, largest=5, kernels=kernels, graphs=graphs)
    assert [backend.batch_size(count) for count in range(1, 6)] == [2, 2, 3, 5, 5]
    assert (backend.largest_batch, backend.fixed_batch) == (5, None)
    wanted = expected(frames())
    for count in (1, 2, 3, 4, 5):
        found = detect(backend, frames()[:count])
        assert all(close(one.map, other) for one, other in zip(found, wanted[:count], strict=True))


def test_more_frames_than_a_request_takes_and_none_are_refused(open_engine: Opener) -> None:
    backend = open_engine(largest=2)
    with pytest.raises(InputError, match="takes 1 to 2 frames, got 3"):
        backend.request(3)
    with backend.request(2) as request:
        for count in (0, 3):
            with pytest.raises(InputError, match=f"takes 1 to 2 frames, got {count}"):
                request.prepare(frames()[:count])


def test_a_frame_of_another_layout_is_refused_and_the_request_still_works(
    open_engine: Opener, expected: Expected
) -> None:
    with open_engine().request() as request:
        with pytest.raises(InputError, match="A YUYV frame must be"):
            request.prepare(frames()[:1], PixelFormat.YUYV)
        request.prepare(frames()[:1])
        request.run()
        assert close(request.finish()[0].map, expected(frames()[:1])[0])


def test_half_precision_goes_through_both_kernels(open_engine: Opener, expected: Expected) -> None:
    for kernels in (True, False):
        found = detect(open_engine(half=True, kernels=kernels), frames())
        assert all(close(one.map, other, 0.01) for one, other in zip(found, expected(frames()), strict=True))


def test_another_size_within_the_profile_is_run(open_engine: Opener, tiny_onnx: Path) -> None:
    size = (2 * WIDTH, HEIGHT)
    backend = open_engine(size=size)
    assert (backend.width, backend.height) == size
    with open_backend(tiny_onnx, "onnxruntime", InferenceOptions(size=size)) as reference:
        (wanted,) = detect(reference, frames()[:1])
    assert wanted.map is not None and close(detect(backend, frames()[:1])[0].map, wanted.map)


def test_outputs_belong_to_the_caller(open_engine: Opener, expected: Expected) -> None:
    backend = open_engine()
    (first,) = detect(backend, frames()[:1], MAPS)
    before = [np.copy(item) for item in (first.map, first.grey, first.histogram)]
    detect(backend, frames()[4:5], MAPS)
    backend.close()
    for now, item in zip((first.map, first.grey, first.histogram), before, strict=True):
        np.testing.assert_array_equal(now, item)


def test_a_frame_may_change_after_finish_only(open_engine: Opener, expected: Expected) -> None:
    frame = frames()[1].copy()
    wanted = expected([frame])
    with open_engine().request() as request:
        request.prepare([frame])
        request.run()
        (outputs,) = request.finish(Wanted.MAP | Wanted.OVERLAY)
        frame[:] = 0
    assert close(outputs.map, wanted[0])


@pytest.mark.parametrize("kernels", [True, False])
def test_a_request_released_in_the_middle_is_used_again(open_engine: Opener, expected: Expected, kernels: bool) -> None:
    backend = open_engine(kernels=kernels)
    wanted = expected(frames())
    for number in range(4):
        with backend.request() as abandoned:
            abandoned.prepare(frames()[number : number + 1])
            abandoned.run()
        assert close(detect(backend, [frames()[3]])[0].map, wanted[3])


def test_times_are_known_once_a_batch_is_finished(open_engine: Opener) -> None:
    with open_engine().request() as request:
        assert request.device_times() is None
        request.prepare(frames()[:1])
        request.run()
        assert request.device_times() is None
        request.finish()
        times = request.device_times()
        assert times is not None
        assert min(times.upload_ms, times.compute_ms, times.download_ms, times.enqueue_ms) > 0.0
        request.prepare(frames()[:1])
        assert request.device_times() is None


# Maps in GPU memory.


def test_maps_in_gpu_memory_are_the_same_at_the_size_of_the_frame(open_engine: Opener, expected: Expected) -> None:
    backend = open_engine()
    found = detect(backend, frames()[:3], Wanted.DEVICE_MAP)
    detect(backend, frames()[3:])  # overwrites nothing that was given away
    for outputs, wanted in zip(found, expected(frames()[:3]), strict=True):
        assert outputs.map is None and outputs.device_map is not None
        with outputs.device_map as there:
            assert there.shape == wanted.shape
            assert close(there.to_host(), wanted)


def test_maps_in_gpu_memory_come_beside_other_outputs(open_engine: Opener, expected: Expected) -> None:
    (outputs,) = detect(open_engine(), frames()[:1], MAPS | Wanted.DEVICE_MAP)
    assert outputs.device_map is not None and outputs.map is not None
    with outputs.device_map as there:
        np.testing.assert_array_equal(there.to_host(), outputs.map)
    assert close(outputs.map, expected(frames()[:1])[0])


# Several requests in flight.


@MODES
def test_three_requests_in_flight_keep_their_own_maps(
    open_engine: Opener, expected: Expected, kernels: bool, graphs: bool
) -> None:
    backend = open_engine(kernels=kernels, graphs=graphs)
    assert backend.depth == 3
    wanted = expected(frames())
    for _ in range(2):
        requests = [backend.request() for _ in range(3)]
        for request, frame in zip(requests, frames(), strict=False):
            request.prepare([frame])
        for request in requests[::-1]:
            request.run()
        for number in (1, 0, 2):
            assert close(requests[number].finish()[0].map, wanted[number])
        for request in requests:
            request.release()


@MODES
def test_three_threads_drive_the_three_stages(
    open_engine: Opener, expected: Expected, kernels: bool, graphs: bool
) -> None:
    backend = open_engine(kernels=kernels, graphs=graphs)
    count, wanted = 24, expected(frames())
    prepared: Queue[Request | None] = Queue()
    running: Queue[Request | None] = Queue()
    found: list[Outputs] = []

    def prepare() -> None:
        for number in range(count):
            request = backend.request()
            request.prepare([frames()[number % len(SIZES)]])
            prepared.put(request)
        prepared.put(None)

    def run() -> None:
        while (request := prepared.get()) is not None:
            request.run()
            running.put(request)
        running.put(None)

    def finish() -> None:
        while (request := running.get()) is not None:
            found.extend(request.finish(MAPS))
            request.release()

    threads = [threading.Thread(target=work) for work in (prepare, run, finish)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == count
    assert all(close(item.map, wanted[number % len(SIZES)]) for number, item in enumerate(found))


def test_many_threads_share_a_backend(open_engine: Opener, expected: Expected) -> None:
    backend = open_engine()
    wanted = expected(frames())
    found: dict[int, Outputs] = {}

    def work(first: int) -> None:
        for number in range(first, len(SIZES) * 2, 4):
            (found[number],) = detect(backend, [frames()[number % len(SIZES)]])

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(SIZES) * 2
    assert all(close(item.map, wanted[number % len(SIZES)]) for number, item in found.items())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), graphs=st.booleans(), kernels=st.booleans(), schedule=st.sampled_from(["latest", "random"]))
def test_random_interleavings_of_stages_never_give_a_wrong_map(
    tiny_onnx: Path, emulated: Emulated, expected: Expected, data: Any, graphs: bool, kernels: bool, schedule: str
) -> None:
    engine = FakeEngine(tiny_onnx)
    device = engine.new_device(emulated if kernels else HostMemoryCuda, schedule=schedule)
    wanted = expected(frames())
    waiting: dict[Request, tuple[str, list[int]]] = {}  # the next stage, and the frames
    with TensorRTBackend(device, engine, record(1, 3, typical=2), InferenceOptions(), graphs=graphs) as backend:
        for _ in range(data.draw(st.integers(5, 25), "steps")):
            step = data.draw(st.integers(0, len(waiting)), "request")
            if step == len(waiting):
                numbers = data.draw(st.lists(st.integers(0, len(SIZES) - 1), min_size=1, max_size=3), "frames")
                request = backend.try_request(len(numbers))
                if request is not None:
                    request.prepare([frames()[number] for number in numbers])
                    waiting[request] = ("run", numbers)
                continue
            request = list(waiting)[step]
            stage, numbers = waiting.pop(request)
            if stage == "run":
                request.run()
                waiting[request] = ("finish", numbers)
                continue
            outputs = data.draw(st.sampled_from([Wanted.MAP, MAPS, MAPS | Wanted.OVERLAY]), "wanted")
            for item, number in zip(request.finish(outputs), numbers, strict=True):
                assert close(item.map, wanted[number])
            request.release()
        for request in waiting:
            request.release()
    assert device.in_use() == []


# What only the host-memory device can be brought to do.


@pytest.fixture
def engine(tiny_onnx: Path) -> FakeEngine:
    return FakeEngine(tiny_onnx)


@pytest.fixture
def host(engine: FakeEngine, emulated: Emulated) -> EmulatedCuda:
    device = engine.new_device(emulated)
    assert isinstance(device, EmulatedCuda)
    return device


def backend_of(host: HostMemoryCuda, engine: FakeEngine, **options: Any) -> TensorRTBackend:
    return TensorRTBackend(host, engine, record(), InferenceOptions(), **options)


def graph_warnings(caplog: pytest.LogCaptureFixture, word: str) -> list[str]:
    return [item.message for item in caplog.records if word in item.message]


def test_a_graph_is_captured_behind_the_first_run_and_kept(host: EmulatedCuda, engine: FakeEngine) -> None:
    backend = backend_of(host, engine)
    enqueued = []
    for count in (1, 1, 4, 1, 2, 4, 1):
        detect(backend, frames()[:count])
        enqueued.append(sum(context.enqueued for context in engine.contexts))
    assert enqueued == [2, 2, 4, 4, 4, 4, 4]  # each of the two batch sizes: one run and one capture, no call later


def test_without_cuda_python_everything_runs_without_graphs(
    host: EmulatedCuda, engine: FakeEngine, expected: Expected
) -> None:
    host.can_capture = False
    backend = backend_of(host, engine)
    for _ in range(3):
        assert close(detect(backend, frames()[:1])[0].map, expected(frames()[:1])[0])
    assert engine.contexts[0].enqueued == 3


def test_an_engine_that_cannot_be_captured_runs_without_a_graph_and_warns_once(
    host: EmulatedCuda,
    engine: FakeEngine,
    expected: Expected,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    reason = f"CUDA failed while capturing a graph: not permitted ({request.node.nodeid})."

    def refuse(*_: object) -> None:
        raise CudaError(reason)

    monkeypatch.setattr(host, "capture", refuse)
    backend = backend_of(host, engine)
    for _ in range(3):
        for one, other in zip(detect(backend, frames()), expected(frames()), strict=True):
            assert close(one.map, other)
    assert graph_warnings(caplog, "graph") == [
        f"This engine cannot be captured in a CUDA graph and runs without one ({reason})"
    ]


def test_without_kernels_the_cpu_prepares_frames_which_is_logged_once(
    host: EmulatedCuda,
    tiny_onnx: Path,
    emulated: Emulated,
    expected: Expected,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    request: pytest.FixtureRequest,
) -> None:
    reason = f"CUDA failed while loading its kernels: no kernel image is available ({request.node.nodeid})."

    def refuse(self: EmulatedCuda, image: bytes) -> None:
        raise CudaError(reason)

    monkeypatch.setattr(EmulatedCuda, "load_module", refuse)
    for _ in range(2):
        engine = FakeEngine(tiny_onnx)
        with backend_of(engine.new_device(emulated), engine) as backend:
            assert close(detect(backend, frames()[:1])[0].map, expected(frames()[:1])[0])
            with pytest.raises(InputError, match="needs the CUDA kernels"):
                detect(backend, frames()[:1], Wanted.DEVICE_MAP)
    assert graph_warnings(caplog, reason) == [f"Frames are resized by the CPU and not on the GPU: {reason}"]


def test_requests_are_made_only_when_they_are_needed(host: EmulatedCuda, engine: FakeEngine) -> None:
    backend = backend_of(host, engine)
    assert engine.contexts == []
    for _ in range(3):
        detect(backend, frames()[:1])
    assert len(engine.contexts) == 1
    detect(backend, frames() * 3)  # five batches
    assert len(engine.contexts) == 1 + 3 + 0


def test_without_memory_for_a_second_request_the_first_serves_alone(
    host: EmulatedCuda, engine: FakeEngine, expected: Expected, caplog: pytest.LogCaptureFixture
) -> None:
    engine.most_contexts = 1
    backend = TensorRTBackend(host, engine, record(1, 1), InferenceOptions())
    found = detect(backend, frames())
    assert all(close(one.map, other) for one, other in zip(found, expected(frames()), strict=True))
    assert backend.max_requests == 1 and host.in_use()
    waited: list[Request] = []
    with backend.request():
        assert backend.try_request() is None
        thread = threading.Thread(target=lambda: waited.append(backend.request()))
        thread.start()
    thread.join()
    waited[0].release()
    backend.close()
    assert host.in_use() == []


def test_too_little_memory_for_a_first_request_is_one_sentence_and_leaves_nothing(
    host: EmulatedCuda, engine: FakeEngine
) -> None:
    host.limit_bytes = 100_000
    backend = TensorRTBackend(host, engine, record(), InferenceOptions())
    before = len(host.in_use())
    with pytest.raises(OutOfMemoryError, match="out of memory"):
        backend.request(4)
    assert len(host.in_use()) == before
    backend.close()
    assert host.in_use() == []


def test_buffers_grow_with_large_frames_and_shrink_when_these_stay_away(host: EmulatedCuda, engine: FakeEngine) -> None:
    backend = backend_of(host, engine)
    large, small = np.zeros((600, 800, 3), np.uint8), frames()[1]
    detect(backend, [small])
    at_first = host.memory_in_use()
    detect(backend, [large])
    assert host.memory_in_use() > at_first + 2 * 3 * 600 * 800
    for _ in range(REMEMBERED):
        detect(backend, [small])
    assert host.memory_in_use() <= 2 * at_first
    backend.close()


@pytest.mark.parametrize("failing", ["host_buffer", "device_buffer"])
def test_a_buffer_that_cannot_grow_leaves_a_request_that_works(
    host: EmulatedCuda, engine: FakeEngine, expected: Expected, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    backend = backend_of(host, engine)
    detect(backend, frames()[1:2])

    def refuse(size_bytes: int, **_: object) -> None:
        raise OutOfMemoryError("The GPU ran out of memory.")

    with monkeypatch.context() as patch:
        patch.setattr(host, failing, refuse)
        with pytest.raises(OutOfMemoryError):
            detect(backend, [np.zeros((300, 400, 3), np.uint8)])
    assert close(detect(backend, frames()[:1])[0].map, expected(frames()[:1])[0])
    backend.close()
    assert host.in_use() == []


def test_nothing_is_left_on_the_gpu_after_close(host: EmulatedCuda, engine: FakeEngine) -> None:
    backend = backend_of(host, engine)
    detect(backend, frames() * 2, MAPS)
    backend.close()
    backend.close()
    assert host.in_use() == [] and host.is_closed


def test_requests_in_use_outlive_close_and_take_everything_with_them(
    host: EmulatedCuda, engine: FakeEngine, expected: Expected
) -> None:
    backend = backend_of(host, engine)
    requests = [backend.request() for _ in range(2)]
    for request in requests:
        request.prepare(frames()[:1])
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.request()
    requests[0].run()
    assert close(requests[0].finish()[0].map, expected(frames()[:1])[0])
    requests[0].release()
    requests[0].release()
    assert not host.is_closed
    requests[1].release()
    assert host.is_closed and host.in_use() == []


def test_closing_while_threads_compute_ends_them_with_one_sentence(
    host: EmulatedCuda, engine: FakeEngine, expected: Expected
) -> None:
    backend = backend_of(host, engine)
    wanted, began, ended = expected(frames()[:1])[0], threading.Semaphore(0), []

    def work() -> None:
        try:
            while True:
                assert close(detect(backend, frames()[:1])[0].map, wanted)
                began.release()
        except BackendError as error:
            ended.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(6):
        assert began.acquire(timeout=60)
    backend.close()
    for thread in threads:
        thread.join()
    assert ended == ["The model is closed; load it again."] * 3
    assert host.is_closed and host.in_use() == []


def test_a_map_in_gpu_memory_outlives_its_backend(host: EmulatedCuda, engine: FakeEngine) -> None:
    backend = backend_of(host, engine)
    (outputs,) = detect(backend, frames()[:1], Wanted.DEVICE_MAP)
    backend.close()
    assert len(host.in_use()) == 1 and outputs.device_map is not None
    outputs.device_map.close()
    assert host.in_use() == []


def test_a_sticky_fault_is_one_sentence_and_closing_works_all_the_same(host: EmulatedCuda, engine: FakeEngine) -> None:
    backend = backend_of(host, engine)
    detect(backend, frames()[:1])
    host.fault = "an illegal memory access was encountered"
    for _ in range(2):
        with pytest.raises(CudaError, match="illegal memory access") as caught:
            detect(backend, frames()[:1])
        assert caught.value.sticky
    backend.close()
    with pytest.raises(BackendError):
        detect(backend, frames()[:1])


@pytest.mark.parametrize(
    ("logged", "kind", "words"),
    [
        ("IExecutionContext::enqueueV3: Error Code 1: Cuda Runtime (out of memory)", OutOfMemoryError, "smaller"),
        (
            "Error Code 1: Cuda Runtime (an illegal memory access was encountered)",
            CudaError,
            "start this program again",
        ),
        ("Error Code 3: API Usage Error", BackendError, "cannot run the engine: Error Code 3"),
    ],
)
def test_a_failure_that_tensorrt_logs_becomes_one_error(
    host: EmulatedCuda, engine: FakeEngine, logged: str, kind: type[Exception], words: str
) -> None:
    backend = backend_of(host, engine)
    with backend.request() as request:
        request.prepare(frames()[:1])
        engine.contexts[0].refuses, engine.said = True, logged
        with pytest.raises(kind, match=words):
            request.run()


@pytest.mark.parametrize("graphs", [True, False])
def test_a_run_that_fails_does_not_spoil_the_next(
    host: EmulatedCuda, engine: FakeEngine, expected: Expected, graphs: bool
) -> None:
    backend = backend_of(host, engine, graphs=graphs)
    with backend.request():
        pass
    for number in range(5):
        engine.contexts[0].refuses = number in (0, 2)
        if number == 0 or (number == 2 and not graphs):
            with pytest.raises(BackendError, match="cannot run the engine"):
                detect(backend, frames()[:1])
        else:
            assert close(detect(backend, frames()[:1])[0].map, expected(frames()[:1])[0])


def test_a_request_that_reads_its_results_too_early_is_noticed(
    host: EmulatedCuda, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason to trust the tests above: leave out the wait, and they fail."""
    from tests.runtime.cuda.host_memory import FakeEvent
    from tests.runtime.cuda.ordering import RuleBroken

    monkeypatch.setattr(FakeEvent, "synchronize", lambda self: None)
    with pytest.raises(RuleBroken, match="looked at before"):
        detect(backend_of(host, engine, graphs=False), frames()[:1])


def test_a_staging_buffer_keeps_its_size_while_it_fits() -> None:
    cuda = HostMemoryCuda()
    with cuda.active():
        buffer = StagingBuffer(cuda)
        addresses = []
        for size in (100, 60, 100, 250, 200, *[40] * REMEMBERED, 40):
            buffer.reserve(size)
            addresses.append(buffer.address)
        assert len(set(addresses[:3])) == 1 and addresses[3] == addresses[4] != addresses[2]
        buffer.close()
    assert cuda.in_use() == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (InferenceOptions(precision="fp16"), "computes in fp32, not in fp16"),
        (InferenceOptions(size=(256, 256)), "--size 256x256"),
        (InferenceOptions(size=(65, 32)), "multiples of 32"),
    ],
)
def test_options_that_an_engine_does_not_have_are_refused(options: InferenceOptions, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_options(Path("x.engine"), record(), options)


def test_a_stripped_engine_is_not_run() -> None:
    with pytest.raises(ModelError, match=r"--refit x\.engine"):
        check_options(Path("x.engine"), record(stripped=True), InferenceOptions())


def test_a_request_is_made_by_its_backend_alone(host: EmulatedCuda, engine: FakeEngine) -> None:
    with backend_of(host, engine) as backend, backend.request(3) as request:
        assert isinstance(request, TensorRTRequest) and request.batch == 4
