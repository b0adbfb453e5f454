"""Sequences of calls that the package relies on: the same in host memory and, marked `gpu`, on a GPU through pycuda."""

import threading

import numpy as np
import pytest

from br2net.errors import CudaError
from br2net.runtime.cuda import Cuda, open_cuda

from .host_memory import HostMemoryCuda

SIZE = 4096


def open_another(cuda: Cuda) -> Cuda:
    """Another owner of the same GPU."""
    return HostMemoryCuda() if isinstance(cuda, HostMemoryCuda) else open_cuda()


def numbers(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, SIZE, dtype=np.uint8)


def test_what_is_uploaded_comes_back(cuda: Cuda) -> None:
    with cuda.active(), cuda.host_buffer(SIZE) as there, cuda.host_buffer(SIZE) as back, cuda.stream() as stream:
        there.view((SIZE,), np.uint8)[:] = numbers()
        with cuda.device_buffer(SIZE) as memory:
            cuda.upload(memory, there, SIZE, stream)
            cuda.download(back, memory, SIZE, stream)
            stream.synchronize()
        assert np.array_equal(back.view((SIZE,), np.uint8), numbers())


def test_two_streams_are_ordered_by_an_event(cuda: Cuda) -> None:
    with cuda.active(), cuda.host_buffer(SIZE) as there, cuda.host_buffer(SIZE) as back, cuda.event() as uploaded:
        there.view((SIZE,), np.uint8)[:] = numbers()
        with cuda.stream() as up, cuda.stream() as down, cuda.device_buffer(SIZE) as memory:
            cuda.upload(memory, there, SIZE, up)
            uploaded.record(up)
            down.wait(uploaded)
            cuda.download(back, memory, SIZE, down)
            down.synchronize()
            assert np.array_equal(back.view((SIZE,), np.uint8), numbers())
            uploaded.synchronize()


def test_an_event_that_was_never_recorded_is_not_waited_for(cuda: Cuda) -> None:
    with cuda.active(), cuda.event() as event, cuda.stream() as stream:
        stream.wait(event)
        event.synchronize()
        stream.synchronize()


def test_page_locked_memory_may_be_reused_once_the_upload_is_done(cuda: Cuda) -> None:
    with cuda.active(), cuda.host_buffer(SIZE) as there, cuda.host_buffer(2 * SIZE) as back, cuda.stream() as stream:
        with cuda.device_buffer(SIZE) as first, cuda.device_buffer(SIZE) as second, cuda.event() as done:
            for number, memory in enumerate((first, second)):
                done.synchronize()
                there.view((SIZE,), np.uint8)[:] = numbers(number)
                cuda.upload(memory, there, SIZE, stream)
                done.record(stream)
            cuda.copy(first, second, SIZE // 2, stream)
            cuda.download(back, first, SIZE, stream)
            stream.synchronize()
        expected = np.concatenate([numbers(1)[: SIZE // 2], numbers(0)[SIZE // 2 :]])
        assert np.array_equal(back.view((SIZE,), np.uint8), expected)


def test_a_buffer_is_zero_at_first_and_can_be_seen_as_any_array(cuda: Cuda) -> None:
    with cuda.active(), cuda.host_buffer(SIZE) as memory:
        assert not memory.view((2, 8, 4), np.float32).any()
        with pytest.raises(ValueError):
            memory.view((SIZE,), np.float32)


def test_mapped_memory_has_an_address_on_the_gpu(cuda: Cuda) -> None:
    with cuda.active(), cuda.host_buffer(SIZE, mapped=True) as memory:
        assert memory.device_address > 0


def test_a_copy_larger_than_a_buffer_is_refused(cuda: Cuda) -> None:
    with (
        cuda.active(),
        cuda.host_buffer(SIZE) as there,
        cuda.stream() as stream,
        cuda.device_buffer(SIZE // 2) as memory,
    ):
        with pytest.raises(ValueError):
            cuda.upload(memory, there, SIZE, stream)
        with pytest.raises(ValueError):
            cuda.download(there, memory, SIZE, stream)


def test_a_graph_does_its_work_at_every_launch_and_not_at_its_capture(cuda: Cuda) -> None:
    if not cuda.can_capture:
        pytest.skip("cuda-python is not installed")
    with cuda.active():
        there, back, memory, stream = (
            cuda.host_buffer(SIZE), cuda.host_buffer(SIZE), cuda.device_buffer(SIZE), cuda.stream(),
        )  # fmt: skip
        there.view((SIZE,), np.uint8)[:] = 1

        def work() -> None:
            cuda.upload(memory, there, SIZE, stream)
            cuda.download(back, memory, SIZE, stream)

        with cuda.capture(stream, work) as graph:
            stream.synchronize()
            assert not back.view((SIZE,), np.uint8).any()
            for value in (2, 3):
                there.view((SIZE,), np.uint8)[:] = value
                graph.launch(stream)
                stream.synchronize()
                assert (back.view((SIZE,), np.uint8) == value).all()


def test_a_capture_that_fails_leaves_a_stream_that_works(cuda: Cuda) -> None:
    if not cuda.can_capture:
        pytest.skip("cuda-python is not installed")

    def work() -> None:
        raise ZeroDivisionError

    with cuda.active(), cuda.host_buffer(SIZE) as there, cuda.stream() as stream, cuda.device_buffer(SIZE) as memory:
        with pytest.raises(ZeroDivisionError):
            cuda.capture(stream, work)
        cuda.upload(memory, there, SIZE, stream)
        stream.synchronize()


def test_a_capture_is_not_disturbed_by_another_thread(cuda: Cuda) -> None:
    """What another detector does in its own thread meanwhile, memory included."""
    if not cuda.can_capture:
        pytest.skip("cuda-python is not installed")

    def elsewhere() -> None:
        with open_another(cuda) as other, other.active(), other.device_buffer(SIZE), other.stream() as own:
            own.synchronize()
            done.append(True)

    def work() -> None:
        cuda.upload(memory, there, SIZE, stream)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    done: list[bool] = []
    with cuda.active():
        there, memory, stream = cuda.host_buffer(SIZE), cuda.device_buffer(SIZE), cuda.stream()
        graph = cuda.capture(stream, work)
        graph.launch(stream)
        stream.synchronize()
    assert done == [True]


def test_a_second_thread_is_refused_while_the_first_is_inside(cuda: Cuda) -> None:
    refused: list[Exception] = []

    def enter() -> None:
        try:
            with cuda.active():
                pass
        except CudaError as error:
            refused.append(error)

    with cuda.active():
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
    assert len(refused) == 1


def test_ownership_passes_to_another_thread(cuda: Cuda) -> None:
    seen: list[np.ndarray] = []
    with cuda.active():
        there, memory, stream = cuda.host_buffer(SIZE), cuda.device_buffer(SIZE), cuda.stream()
        there.view((SIZE,), np.uint8)[:] = numbers()
        cuda.upload(memory, there, SIZE, stream)

    def go_on() -> None:
        with cuda.active(), cuda.host_buffer(SIZE) as back:
            cuda.download(back, memory, SIZE, stream)
            stream.synchronize()
            seen.append(back.view((SIZE,), np.uint8).copy())
            for item in (memory, there, stream):
                item.close()

    thread = threading.Thread(target=go_on)
    thread.start()
    thread.join()
    assert np.array_equal(seen[0], numbers())


def test_closing_the_device_frees_what_is_open_from_any_thread(cuda: Cuda) -> None:
    with cuda.active():
        before = cuda.memory()[0]
        cuda.device_buffer(1 << 24)
        cuda.stream()
        cuda.event()
        assert cuda.memory()[0] < before
    thread = threading.Thread(target=cuda.close)
    thread.start()
    thread.join()
    cuda.close()
    with pytest.raises(CudaError), cuda.active():
        pass


def test_a_buffer_that_outlives_its_device_is_released_by_any_thread(cuda: Cuda) -> None:
    with cuda.active():
        memory = cuda.device_buffer(SIZE, outlives=True)
    cuda.close()
    thread = threading.Thread(target=cuda.release, args=(memory,))
    thread.start()
    thread.join()


def test_events_tell_the_time_between_them(cuda: Cuda) -> None:
    with cuda.active(), cuda.stream() as stream, cuda.event(timed=True) as first, cuda.event(timed=True) as second:
        first.record(stream)
        second.record(stream)
        second.synchronize()
        assert second.milliseconds_since(first) >= 0.0
