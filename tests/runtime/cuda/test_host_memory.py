"""The stand-in for a GPU refuses what CUDA would forbid: a test of the tests."""

import threading

import numpy as np
import pytest

from .host_memory import HostMemoryCuda
from .ordering import RuleBroken

SIZE = 64


def test_use_after_free(host: HostMemoryCuda) -> None:
    with host.active():
        memory, there, stream = host.device_buffer(SIZE), host.host_buffer(SIZE), host.stream()
        memory.close()
        with pytest.raises(RuleBroken, match="after it was closed"):
            host.upload(memory, there, SIZE, stream)


def test_double_free(host: HostMemoryCuda) -> None:
    with host.active():
        memory = host.device_buffer(SIZE)
        memory.close()
        with pytest.raises(RuleBroken, match="double free"):
            memory.close()


def test_a_free_before_the_stream_is_done(host: HostMemoryCuda) -> None:
    with host.active():
        memory, there, stream = host.device_buffer(SIZE), host.host_buffer(SIZE), host.stream()
        host.upload(memory, there, SIZE, stream)
        with pytest.raises(RuleBroken, match="freed before"):
            memory.close()
        with pytest.raises(RuleBroken, match="freed before"):
            there.close()
        stream.synchronize()
        memory.close()


def test_writing_to_what_an_upload_still_reads() -> None:
    host = HostMemoryCuda(schedule="latest")
    with host.active():
        memory, there, stream = host.device_buffer(SIZE), host.host_buffer(SIZE), host.stream()
        host.upload(memory, there, SIZE, stream)
        there.view((SIZE,), np.uint8)[:] = 7
        with pytest.raises(RuleBroken, match="written to before"):
            stream.synchronize()


def test_looking_at_what_a_download_still_fills(host: HostMemoryCuda) -> None:
    with host.active():
        memory, back, stream = host.device_buffer(SIZE), host.host_buffer(SIZE), host.stream()
        host.download(back, memory, SIZE, stream)
        with pytest.raises(RuleBroken, match="looked at before"):
            back.view((SIZE,), np.uint8)


def test_two_streams_in_one_buffer_without_an_order(host: HostMemoryCuda) -> None:
    with host.active():
        memory, there, back = host.device_buffer(SIZE), host.host_buffer(SIZE), host.host_buffer(SIZE)
        host.upload(memory, there, SIZE, host.stream())
        with pytest.raises(RuleBroken, match="at the same time"):
            host.download(back, memory, SIZE, host.stream())


def test_a_thread_outside(host: HostMemoryCuda) -> None:
    broken: list[RuleBroken] = []

    def use() -> None:
        try:
            host.device_buffer(SIZE)
        except RuleBroken as error:
            broken.append(error)

    with host.active():
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
    assert len(broken) == 1
    with pytest.raises(RuleBroken, match="not inside"):
        host.stream()


def test_waiting_during_a_capture(host: HostMemoryCuda) -> None:
    with host.active():
        stream, event = host.stream(), host.event()
        with pytest.raises(RuleBroken, match="during a capture"):
            host.capture(stream, stream.synchronize)
        with pytest.raises(RuleBroken, match="during a capture"):
            host.capture(stream, event.synchronize)


def test_a_graph_of_a_freed_buffer(host: HostMemoryCuda) -> None:
    with host.active():
        memory, there, stream = host.device_buffer(SIZE), host.host_buffer(SIZE), host.stream()
        graph = host.capture(stream, lambda: host.upload(memory, there, SIZE, stream))
        with pytest.raises(RuleBroken, match="before a graph that touches it"):
            memory.close()
        graph.close()
        memory.close()
        with pytest.raises(RuleBroken, match="after it was closed"):
            graph.launch(stream)


def test_work_is_put_off_until_somebody_waits() -> None:
    host = HostMemoryCuda(schedule="latest")
    with host.active():
        memory, there, stream = host.device_buffer(SIZE), host.host_buffer(SIZE), host.stream()
        host.upload(memory, there, SIZE, stream)
        assert memory.bytes.any()  # what fresh memory holds
        stream.synchronize()
        assert not memory.bytes.any()
