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


def test_page_locked_memory_may_be_reused_once_the_upload_is_done(cuda: Cuda) -> None:
    with cuda.active():
        there, back, stream, done = cuda.host_buffer(SIZE), cuda.host_buffer(SIZE), cuda.stream(), cuda.event()
        with cuda.device_buffer(SIZE) as first, cuda.device_buffer(SIZE) as second:
            for number, memory in enumerate((first, second)):
                done.synchronize()
                there.view((SIZE,), np.uint8)[:] = numbers(number)
                cuda.upload(memory, there, SIZE, stream)
                done.record(stream)
            for number, memory in enumerate((first, second)):
                cuda.download(back, memory, SIZE, stream)
                done.record(stream)
                done.synchronize()
                assert np.array_equal(back.view((SIZE,), np.uint8), numbers(number))


def test_a_buffer_is_zero_at_first_and_can_be_seen_as_any_array(cuda: Cuda) -> None:
    with cuda.active(), cuda.host_buffer(SIZE) as memory:
        assert not memory.view((2, 8, 4), np.float32).any()
        with pytest.raises(ValueError):
            memory.view((SIZE,), np.float32)


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
    """Another request's thread may reserve memory and wait during a capture."""
    if not cuda.can_capture:
        pytest.skip("cuda-python is not installed")

    def elsewhere() -> None:
        for other in (cuda, another):
            with other.active(), other.device_buffer(SIZE), other.stream() as own:
                own.synchronize()
                done.append(True)

    def work() -> None:
        cuda.upload(memory, there, SIZE, stream)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    done: list[bool] = []
    with open_another(cuda) as another, cuda.active():
        there, memory, stream = cuda.host_buffer(SIZE), cuda.device_buffer(SIZE), cuda.stream()
        graph = cuda.capture(stream, work)
        graph.launch(stream)
        stream.synchronize()
    assert done == [True, True]


def test_threads_use_their_own_streams_at_the_same_time(cuda: Cuda) -> None:
    inside, correct = threading.Barrier(3), []

    def work(seed: int) -> None:
        with cuda.active(), cuda.host_buffer(SIZE) as there, cuda.host_buffer(SIZE) as back:
            inside.wait(60)  # none of them waits for another to leave
            with cuda.device_buffer(SIZE) as memory, cuda.stream() as stream, cuda.event() as done:
                for turn in range(20):
                    there.view((SIZE,), np.uint8)[:] = numbers(100 * seed + turn)
                    cuda.upload(memory, there, SIZE, stream)
                    cuda.download(back, memory, SIZE, stream)
                    done.record(stream)
                    done.synchronize()
                    correct.append(np.array_equal(back.view((SIZE,), np.uint8), numbers(100 * seed + turn)))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert correct == [True] * 60


def test_closing_waits_for_the_threads_inside(cuda: Cuda) -> None:
    inside, closing, order = threading.Event(), threading.Event(), []

    def work() -> None:
        with cuda.active(), cuda.stream() as stream:
            inside.set()
            closing.wait(60)
            stream.synchronize()
            order.append("left")

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(60)
    closer = threading.Thread(target=lambda: (cuda.close(), order.append("closed")))
    closer.start()
    closing.set()
    thread.join()
    closer.join()
    assert order == ["left", "closed"]


def test_closing_inside_is_refused(cuda: Cuda) -> None:
    with cuda.active(), pytest.raises(CudaError, match="cannot be closed inside"):
        cuda.close()


def test_another_thread_goes_on_with_a_stream(cuda: Cuda) -> None:
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
        held = [cuda.device_buffer(SIZE, outlives=True) for _ in range(3)]
        cuda.release(held.pop())
        thread = threading.Thread(target=cuda.release, args=(held.pop(),))
        thread.start()
        thread.join()
    cuda.close()
    thread = threading.Thread(target=cuda.release, args=(held.pop(),))
    thread.start()
    thread.join()


def test_events_tell_the_time_between_them(cuda: Cuda) -> None:
    with cuda.active(), cuda.stream() as stream, cuda.event() as first, cuda.event() as second:
        first.record(stream)
        second.record(stream)
        second.synchronize()
        assert second.milliseconds_since(first) >= 0.0
