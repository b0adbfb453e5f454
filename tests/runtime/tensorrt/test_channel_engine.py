"""The backend's buffers, streams, events and graphs on a GPU through pycuda, without TensorRT."""

import importlib.util
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import numpy as np
import pytest
from numpy.typing import NDArray

from br2net.runtime import InferenceOptions
from br2net.runtime.cuda import open_cuda
from br2net.runtime.cuda.device_map import DeviceMap
from br2net.runtime.tensorrt import TensorRTBackend
from tests.runtime.cuda.gpu import why_no_gpu

from .channel_engine import ChannelEngine
from .conftest import HEIGHT, WIDTH, record


def _why_not() -> str:
    return why_no_gpu() or ("" if importlib.util.find_spec("cuda") else "cuda-python is not installed")


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(_why_not()), reason=_why_not() or "runs")]
Opener = Callable[..., TensorRTBackend]


def a_batch(count: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, 3, HEIGHT, WIDTH)).astype(np.float32)


@pytest.fixture(params=[False, True], ids=["enqueued", "graph"])
def open_channel(request: pytest.FixtureRequest) -> Iterator[Opener]:
    opened: list[TensorRTBackend] = []

    def open_it(streams: int = 1) -> TensorRTBackend:
        options = InferenceOptions(streams=streams)
        backend = TensorRTBackend.of_parts(open_cuda, ChannelEngine(), record(), options, graphs=request.param)
        opened.append(backend)
        return backend

    yield open_it
    for backend in opened:
        backend.close()


def test_batches_of_changing_size_give_their_first_channels(open_channel: Opener) -> None:
    backend = open_channel()
    for seed, count in enumerate((1, 1, 1, 1, 3, 3, 3, 9, 1, 1)):
        batch = a_batch(count, seed)
        assert np.array_equal(backend.infer(batch), batch[:, :1])


def test_batches_in_flight_keep_their_maps(open_channel: Opener) -> None:
    backend = open_channel()
    batches = [a_batch(1 + seed % 3, seed) for seed in range(12)]
    submitted = [backend.submit(batch) for batch in batches]
    for item, batch in reversed(list(zip(submitted, batches, strict=True))):
        assert np.array_equal(item.result(), batch[:, :1])
    assert backend.contexts == 2


def test_threads_compute_side_by_side(open_channel: Opener) -> None:
    backend = open_channel(streams=2)
    maps: dict[int, bool] = {}

    def work(first: int) -> None:
        for seed in range(first, 60, 3):
            batch = a_batch(1, seed)
            maps[seed] = np.array_equal(backend.infer(batch), batch[:, :1])

    threads = [threading.Thread(target=work, args=(first,)) for first in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(maps) == 60 and all(maps.values())


def test_maps_on_the_gpu_outlive_the_backend(open_channel: Opener) -> None:
    backend = open_channel()
    with backend.infer_on_device(a_batch(2, 1)) as maps:
        assert np.array_equal(maps.to_host(), a_batch(2, 1)[:, :1])
        backend.close()
        assert maps.__cuda_array_interface__["data"][0] == maps.address > 0


def test_maps_may_be_given_up_by_other_threads_while_one_computes(open_channel: Opener) -> None:
    """Each is freed, and nobody is refused for it: test_pycuda.py counts what is left."""
    backend = open_channel()
    given: SimpleQueue[DeviceMap | None] = SimpleQueue()

    def give_up() -> None:
        while (maps := given.get()) is not None:
            maps.close()

    threads = [threading.Thread(target=give_up) for _ in range(3)]
    for thread in threads:
        thread.start()
    for seed in range(200):
        given.put(backend.infer_on_device(a_batch(1, seed)))
    for _ in threads:
        given.put(None)
    backend.close()
    for thread in threads:
        thread.join()


def test_its_times_are_measured(open_channel: Opener) -> None:
    backend = open_channel()
    backend.infer(a_batch(1, 1))
    times = backend.device_times()
    assert times is not None and times.compute_ms > 0.0
