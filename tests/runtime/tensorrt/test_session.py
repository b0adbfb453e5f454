"""The TensorRT backend against ONNX Runtime: in host memory, under CUDA's rules, and, marked `gpu`, for real."""

import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from br2net.errors import BackendError, CudaError, InputError, ModelError, OutOfMemoryError
from br2net.runtime import InferenceOptions, open_backend
from br2net.runtime.tensorrt import TensorRTBackend
from br2net.runtime.tensorrt.session import check_options
from br2net.runtime.tensorrt.slot import Slot
from br2net.types import Batch
from tests.runtime.cuda.host_memory import HostMemoryCuda

from .conftest import HEIGHT, WIDTH, Opener, record
from .fake_engine import FakeEngine, by_onnx_runtime

TOLERANCE = 1e-3  # a GPU may compute FP32 in TF32; maps are 0..1


def a_batch(count: int, seed: int = 8, width: int = WIDTH) -> Batch:
    return np.random.default_rng(seed).normal(size=(count, 3, HEIGHT, width)).astype(np.float32)


@pytest.fixture
def expected(tiny_onnx: Path) -> Callable[[Batch], Batch]:
    return lambda batch: by_onnx_runtime(tiny_onnx, batch)


Expected = Callable[[Batch], Batch]
MODES = pytest.mark.parametrize(
    ("graphs", "integrated"),
    [(False, False), (True, False), (False, True), (True, True)],
    ids=["enqueued", "graph", "enqueued-mapped", "graph-mapped"],
)


@MODES
def test_maps_are_those_of_onnx_runtime(
    open_engine: Opener, expected: Expected, graphs: bool, integrated: bool
) -> None:
    backend = open_engine(graphs=graphs, integrated=integrated)
    for seed in range(5):  # the first is a warm-up, the second captures, the others replay
        batch = a_batch(1, seed)
        assert np.abs(backend.infer(batch) - expected(batch)).max() <= TOLERANCE


@MODES
@pytest.mark.parametrize("count", [3, 11])
def test_a_list_of_any_length_is_run_in_parts(
    open_engine: Opener, expected: Expected, graphs: bool, integrated: bool, count: int
) -> None:
    batch = a_batch(count)
    assert np.abs(open_engine(graphs=graphs, integrated=integrated).infer(batch) - expected(batch)).max() <= TOLERANCE


@MODES
def test_a_graph_is_captured_anew_when_the_shape_changes(
    open_engine: Opener, expected: Expected, graphs: bool, integrated: bool
) -> None:
    backend = open_engine(graphs=graphs, integrated=integrated)
    for count in (1, 1, 1, 3, 3, 3, 1, 1, 2):
        batch = a_batch(count, count)
        assert np.abs(backend.infer(batch) - expected(batch)).max() <= TOLERANCE


@MODES
def test_batches_in_flight_keep_their_own_maps_in_whatever_order_they_are_asked_for(
    open_engine: Opener, expected: Expected, graphs: bool, integrated: bool
) -> None:
    backend = open_engine(graphs=graphs, integrated=integrated)
    batches = [a_batch(1, seed) for seed in range(6)]
    submitted = [backend.submit(batch) for batch in batches]
    for number in (5, 0, 3, 1, 2, 4):
        assert np.abs(submitted[number].result() - expected(batches[number])).max() <= TOLERANCE
    assert backend.contexts == 2


@MODES
def test_a_submitted_batch_may_be_overwritten_at_once(
    open_engine: Opener, expected: Expected, graphs: bool, integrated: bool
) -> None:
    backend = open_engine(graphs=graphs, integrated=integrated)
    batch = a_batch(2)
    wanted = expected(batch)
    submitted = backend.submit(batch)
    batch[:] = np.nan
    assert np.abs(submitted.result() - wanted).max() <= TOLERANCE


@MODES
def test_a_camera_that_submits_ahead_gets_every_map(
    open_engine: Opener, expected: Expected, graphs: bool, integrated: bool
) -> None:
    backend = open_engine(graphs=graphs, integrated=integrated)
    batches = [a_batch(1, seed) for seed in range(8)]
    ahead = backend.submit(batches[0])
    for before, batch in pairwise(batches):
        following = backend.submit(batch)
        assert np.abs(ahead.result() - expected(before)).max() <= TOLERANCE
        ahead = following


def test_maps_belong_to_the_caller(open_engine: Opener, expected: Expected) -> None:
    backend = open_engine()
    first = backend.infer(a_batch(1, 1))
    backend.infer(a_batch(1, 2))
    backend.close()
    assert np.abs(first - expected(a_batch(1, 1))).max() <= TOLERANCE


def test_fewer_images_than_the_engine_takes_are_filled_up(open_engine: Opener, expected: Expected) -> None:
    backend = open_engine(smallest=2, largest=4)
    for count in (1, 5):
        assert np.abs(backend.infer(a_batch(count)) - expected(a_batch(count))).max() <= TOLERANCE


def test_frames_have_the_maps_that_onnx_runtime_gives(
    open_engine: Opener, tiny_onnx: Path, photograph: NDArray[np.uint8]
) -> None:
    frames = [photograph, photograph[:40, :70], photograph[::-1]]
    with open_backend(tiny_onnx, "onnxruntime") as reference:
        wanted = reference.detect(frames)
    for one, other, frame in zip(open_engine().detect(frames), wanted, frames, strict=True):
        assert one.shape == frame.shape[:2]
        assert np.abs(one - other).max() <= TOLERANCE


def test_another_size_within_the_profile_is_run(open_engine: Opener, expected: Expected) -> None:
    backend = open_engine(size=(2 * WIDTH, HEIGHT))
    batch = a_batch(1, width=2 * WIDTH)
    assert (backend.width, backend.height) == (2 * WIDTH, HEIGHT)
    assert np.abs(backend.infer(batch) - expected(batch)).max() <= TOLERANCE


@pytest.mark.parametrize("integrated", [False, True])
def test_maps_on_the_gpu_are_the_same(open_engine: Opener, expected: Expected, integrated: bool) -> None:
    backend = open_engine(integrated=integrated)
    with backend.infer_on_device(a_batch(2, 1)) as first, backend.infer_on_device(a_batch(2, 2)) as second:
        backend.infer(a_batch(2, 3))  # overwrites nothing that was given away
        assert first.shape == (2, 1, HEIGHT, WIDTH)
        assert np.abs(first.to_host() - expected(a_batch(2, 1))).max() <= TOLERANCE
        assert np.abs(second.to_host() - expected(a_batch(2, 2))).max() <= TOLERANCE


def test_another_thread_may_go_on_but_not_at_the_same_time(open_engine: Opener, expected: Expected) -> None:
    backend = open_engine()
    maps: list[Batch] = []
    submitted = backend.submit(a_batch(1))
    thread = threading.Thread(target=lambda: maps.extend([submitted.result(), backend.infer(a_batch(1, 2))]))
    thread.start()
    thread.join()
    assert np.abs(maps[0] - expected(a_batch(1))).max() <= TOLERANCE
    assert np.abs(maps[1] - expected(a_batch(1, 2))).max() <= TOLERANCE


def test_threads_compute_side_by_side_in_contexts_of_their_own(open_engine: Opener, expected: Expected) -> None:
    backend = open_engine(streams=2)
    maps: dict[int, Batch] = {}

    def work(first: int) -> None:
        for seed in range(first, 12, 4):
            maps[seed] = backend.infer(a_batch(1, seed))

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (backend.concurrency, backend.contexts) == (2, 2)
    assert sorted(maps) == list(range(12))
    for seed, item in maps.items():
        assert np.abs(item - expected(a_batch(1, seed))).max() <= TOLERANCE


@pytest.mark.parametrize("integrated", [False, True])
def test_the_times_of_a_batch_are_known_once_it_is_done(open_engine: Opener, integrated: bool) -> None:
    backend = open_engine(integrated=integrated)
    assert backend.device_times() is None
    backend.infer(a_batch(1))
    times = backend.device_times()
    assert times is not None and times.compute_ms > 0.0 and times.enqueue_ms > 0.0
    assert (times.upload_ms == 0.0) == integrated
    submitted = backend.submit(a_batch(1))
    assert backend.device_times() is None
    submitted.result()
    assert backend.device_times() is not None


def test_a_closed_backend_says_so_and_closes_twice(open_engine: Opener) -> None:
    backend = open_engine()
    unasked = backend.submit(a_batch(1))
    backend.close()
    backend.close()
    assert unasked
    for call in (backend.infer, backend.submit, backend.infer_on_device):
        with pytest.raises(BackendError, match="closed"):
            call(a_batch(1))


@pytest.mark.parametrize("batch", [a_batch(1).astype(np.float64), a_batch(1)[:, :2], a_batch(5)])
def test_a_batch_of_another_kind_is_refused_by_submit(open_engine: Opener, batch: Any) -> None:
    with pytest.raises(InputError, match="does not fit"):
        open_engine().submit(batch)


# What only the host-memory device can be brought to do.


@pytest.fixture
def engine(tiny_onnx: Path) -> FakeEngine:
    return FakeEngine(tiny_onnx)


@pytest.fixture
def host(engine: FakeEngine) -> HostMemoryCuda:
    return engine.new_device()


def backend_of(host: HostMemoryCuda, engine: FakeEngine, **options: Any) -> TensorRTBackend:
    return TensorRTBackend.of_parts(lambda: host, engine, record(), InferenceOptions(), **options)


def test_the_next_upload_waits_for_the_consumed_input_and_not_for_the_maps(
    host: HostMemoryCuda, engine: FakeEngine
) -> None:
    backend = backend_of(host, engine, graphs=False)
    backend.submit(a_batch(1))
    assert engine.contexts[0].consumed
    (slot,) = backend._runners[0].slots
    with host.active():
        slot.submit(a_batch(1, 2))
        slot._lanes[1].taken.synchronize()  # the second upload is done …
        assert host.event_of(slot._lanes[0].done).reached == 0  # … and the first maps are not


def test_without_cuda_python_everything_runs_ungraphed(
    host: HostMemoryCuda, engine: FakeEngine, expected: Expected
) -> None:
    host.can_capture = False
    backend = backend_of(host, engine)
    for seed in range(4):
        assert np.abs(backend.infer(a_batch(1, seed)) - expected(a_batch(1, seed))).max() <= TOLERANCE
    assert not backend._runners[0].slots[0].runs_graph


def test_from_the_third_frame_of_a_shape_on_a_graph_is_replayed(host: HostMemoryCuda, engine: FakeEngine) -> None:
    backend = backend_of(host, engine)
    enqueued = []
    for seed in range(5):
        backend.infer(a_batch(1, seed))
        enqueued.append(engine.contexts[0].enqueued)
    assert enqueued == [1, 2, 2, 2, 2]  # the warm-up, the capture, and no call of TensorRT any more
    assert backend._runners[0].slots[0].runs_graph


def test_an_engine_that_cannot_be_captured_runs_without_a_graph_and_says_so_once(
    host: HostMemoryCuda,
    engine: FakeEngine,
    expected: Expected,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise CudaError("CUDA failed while capturing a graph: operation not permitted when stream is capturing.")

    monkeypatch.setattr(host, "capture", refuse)
    backend = backend_of(host, engine)
    for seed in range(4):
        assert np.abs(backend.infer(a_batch(1, seed)) - expected(a_batch(1, seed))).max() <= TOLERANCE
    assert [item.message for item in caplog.records if "graph" in item.message] == [
        "This engine cannot be captured in a CUDA graph and runs without one (CUDA failed while capturing a graph: "
        "operation not permitted when stream is capturing.)"
    ]


def test_a_half_precision_engine_gives_float32_maps(tiny_onnx: Path, expected: Expected) -> None:
    engine = FakeEngine(tiny_onnx, half=True)
    maps = backend_of(engine.new_device(), engine).infer(a_batch(2))
    assert maps.dtype == np.float32
    assert np.abs(maps - expected(a_batch(2))).max() <= 0.01


def test_nothing_is_left_on_the_gpu_after_close(host: HostMemoryCuda, engine: FakeEngine) -> None:
    backend = backend_of(host, engine)
    for _ in range(3):
        backend.submit(a_batch(1))
    backend.close()
    assert host.in_use() == [] and host.is_closed


def test_a_device_map_outlives_its_backend(host: HostMemoryCuda, engine: FakeEngine) -> None:
    backend = backend_of(host, engine)
    result = backend.infer_on_device(a_batch(1))
    backend.close()
    assert len(host.in_use()) == 1
    result.close()
    assert host.in_use() == []


def test_too_little_memory_for_the_buffers_is_one_sentence_and_leaves_nothing(
    host: HostMemoryCuda, engine: FakeEngine
) -> None:
    host.limit_bytes = 100_000
    with pytest.raises(OutOfMemoryError, match="out of memory"):
        backend_of(host, engine)
    assert host.in_use() == []


def test_one_context_goes_on_where_a_second_has_no_memory(
    host: HostMemoryCuda, engine: FakeEngine, expected: Expected, caplog: pytest.LogCaptureFixture
) -> None:
    engine.most_contexts = 1
    backend = backend_of(host, engine)
    submitted = [backend.submit(a_batch(1, seed)) for seed in range(4)]
    for seed, item in enumerate(submitted):
        assert np.abs(item.result() - expected(a_batch(1, seed))).max() <= TOLERANCE
    assert sum("second execution context" in item.message for item in caplog.records) == 1


def test_a_sticky_fault_is_one_sentence_and_closing_works_all_the_same(
    host: HostMemoryCuda, engine: FakeEngine
) -> None:
    backend = backend_of(host, engine)
    backend.infer(a_batch(1))
    host.fault = "an illegal memory access was encountered"
    for _ in range(2):
        with pytest.raises(CudaError, match="illegal memory access") as caught:
            backend.infer(a_batch(1))
        assert caught.value.sticky
    backend.close()
    with pytest.raises(BackendError):
        backend.infer(a_batch(1))


@pytest.mark.parametrize(
    ("said", "kind", "words"),
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
def test_what_tensorrt_logs_becomes_one_error(
    host: HostMemoryCuda, engine: FakeEngine, said: str, kind: type[Exception], words: str
) -> None:
    backend = backend_of(host, engine)
    engine.contexts[0].refuses, engine.said = True, said
    with pytest.raises(kind, match=words):
        backend.infer(a_batch(1))


@pytest.mark.parametrize("graphs", [True, False])
def test_a_run_that_fails_does_not_spoil_the_next(
    host: HostMemoryCuda, engine: FakeEngine, expected: Expected, graphs: bool
) -> None:
    backend = backend_of(host, engine, graphs=graphs)
    for seed in range(6):
        engine.contexts[0].refuses = seed in (0, 1, 4)
        if engine.contexts[0].refuses and not backend._runners[0].slots[0].runs_graph:
            with pytest.raises(BackendError):
                backend.infer(a_batch(1, seed))
        else:
            assert np.abs(backend.infer(a_batch(1, seed)) - expected(a_batch(1, seed))).max() <= TOLERANCE


def test_closing_while_another_thread_computes_is_refused(host: HostMemoryCuda, engine: FakeEngine) -> None:
    backend = backend_of(host, engine)
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with host.active():
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(30)
    with pytest.raises(CudaError, match="another thread"):
        backend.close()
    leave.set()
    thread.join()
    assert backend.infer(a_batch(1)).shape == (1, 1, HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (InferenceOptions(precision="fp16"), "computes in fp32, not in fp16"),
        (InferenceOptions(size=(256, 256)), "--size 256x256"),
        (InferenceOptions(size=(65, 32)), "multiples of 32"),
    ],
)
def test_what_an_engine_cannot_do_is_refused(options: InferenceOptions, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_options(Path("x.engine"), record(), options)


def test_a_stripped_engine_is_not_run() -> None:
    with pytest.raises(ModelError, match=r"--refit x\.engine"):
        check_options(Path("x.engine"), record(stripped=True), InferenceOptions())


def test_a_slot_that_reads_a_buffer_too_early_would_be_noticed(
    host: HostMemoryCuda, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason to trust the tests above: leave out one wait, and they fail."""
    from tests.runtime.cuda.host_memory import FakeStream
    from tests.runtime.cuda.ordering import RuleBroken

    monkeypatch.setattr(FakeStream, "wait", lambda self, event: None)
    with host.active():
        slot = Slot(host, engine, (1, 3, HEIGHT, WIDTH), graphs=False)
        with pytest.raises(RuleBroken, match="at the same time"):
            slot.submit(a_batch(1))
