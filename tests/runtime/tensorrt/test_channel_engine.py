"""Requests' buffers, streams, events and graphs on a GPU through pycuda, without TensorRT and without CUDA kernels."""

import importlib.util
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from br2net.errors import BackendError
from br2net.runtime import InferenceOptions
from br2net.runtime.backend import detect
from br2net.runtime.cuda import open_cuda
from br2net.runtime.postprocessing import Wanted
from br2net.runtime.tensorrt import TensorRTBackend
from br2net.types import Batch, Frame
from tests.runtime.cuda.gpu import why_no_gpu

from ..frames import maps_of, network_input, noise_frames
from .channel_engine import ChannelEngine
from .conftest import HEIGHT, WIDTH, record


def _why_not() -> str:
    return why_no_gpu() or ("" if importlib.util.find_spec("cuda") else "cuda-python is not installed")


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(_why_not()), reason=_why_not() or "runs")]
Opener = Callable[..., TensorRTBackend]


def frames_of(count: int, seed: int) -> list[Frame]:
    return noise_frames(count, HEIGHT, WIDTH, seed)


def red(frames: list[Frame]) -> Batch:
    """The engine's map: the first channel of the input, within 0..1."""
    return np.clip(network_input(frames)[:, :1], 0.0, 1.0)


@pytest.fixture(params=[False, True], ids=["enqueued", "graph"])
def open_channel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opener]:
    def no_kernels(*_: object) -> None:
        raise BackendError("The driver in host memory runs no kernels.")

    monkeypatch.setattr("br2net.runtime.tensorrt.session.load_kernels", no_kernels)
    opened: list[TensorRTBackend] = []

    def open_it(streams: int = 1) -> TensorRTBackend:
        options = InferenceOptions(streams=streams)
        opened.append(TensorRTBackend(open_cuda(), ChannelEngine(), record(), options, graphs=request.param))
        return opened[-1]

    yield open_it
    for backend in opened:
        backend.close()


def test_batches_of_changing_size_give_their_first_channels(open_channel: Opener) -> None:
    backend = open_channel()
    for seed, count in enumerate((1, 1, 1, 1, 3, 3, 3, 9, 1, 1)):
        frames = frames_of(count, seed)
        np.testing.assert_allclose(maps_of(backend, frames), red(frames), atol=1e-5)


def test_requests_in_flight_keep_their_maps(open_channel: Opener) -> None:
    backend = open_channel()
    for _ in range(3):
        requests = [backend.request() for _ in range(3)]
        for seed, request in enumerate(requests):
            request.prepare(frames_of(1, seed))
            request.run()
        for seed in (2, 0, 1):
            (outputs,) = requests[seed].finish()
            np.testing.assert_allclose(outputs.map, red(frames_of(1, seed))[0, 0], atol=1e-5)
            requests[seed].release()


def test_threads_compute_at_the_same_time(open_channel: Opener) -> None:
    backend = open_channel(streams=2)
    gaps: dict[int, float] = {}

    def work(first: int) -> None:
        for seed in range(first, 60, 3):
            frames = frames_of(1 + seed % 4, seed)
            gaps[seed] = float(np.abs(maps_of(backend, frames) - red(frames)).max())

    threads = [threading.Thread(target=work, args=(first,)) for first in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(gaps) == 60 and max(gaps.values()) < 1e-5


def test_the_times_of_a_request_are_measured(open_channel: Opener) -> None:
    with open_channel().request() as request:
        request.prepare(frames_of(1, 1))
        request.run()
        request.finish()
        times = request.device_times()
        assert times is not None and times.compute_ms > 0.0


def test_other_outputs_come_too(open_channel: Opener) -> None:
    (outputs,) = detect(open_channel(), frames_of(1, 3), Wanted.FRACTION)
    assert outputs.blurred_fraction == pytest.approx((red(frames_of(1, 3)) >= 0.5).mean())
