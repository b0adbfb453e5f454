"""Maps that stay on the GPU, taken over by NumPy and PyTorch through their own implementations of DLPack."""

import gc
import threading
from typing import Any

import numpy as np
import pytest

from br2net.errors import CudaError
from br2net.runtime.cuda.device_map import DeviceMap

from .host_memory import FakeDeviceBuffer, HostMemoryCuda

SHAPE = (3, 5)


@pytest.fixture
def host() -> HostMemoryCuda:
    return HostMemoryCuda()


def values() -> np.ndarray:
    return np.random.default_rng(0).random(SHAPE, np.float32)


def a_map(host: HostMemoryCuda) -> DeviceMap:
    with host.active():
        buffer = host.device_buffer(values().nbytes, outlives=True)
        buffer.bytes[:] = values().view(np.uint8).ravel()
        return DeviceMap(host, buffer, SHAPE)


def is_freed(host: HostMemoryCuda) -> bool:
    return not [item for item in host.in_use() if isinstance(item, FakeDeviceBuffer)]


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_a_library_takes_the_map_without_a_copy(host: HostMemoryCuda, library: str) -> None:
    module = pytest.importorskip(library)
    with a_map(host) as maps:
        taken = module.from_dlpack(maps)
        assert tuple(taken.shape) == SHAPE
        assert np.array_equal(np.asarray(taken), values())
        address = taken.ctypes.data if library == "numpy" else taken.data_ptr()
        assert address == maps.address


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_the_memory_is_kept_until_the_last_one_who_took_it_is_done(host: HostMemoryCuda, library: str) -> None:
    module = pytest.importorskip(library)
    maps = a_map(host)
    first, second = module.from_dlpack(maps), module.from_dlpack(maps)
    maps.close()
    maps.close()
    host.close()
    del first
    gc.collect()
    assert not is_freed(host)
    assert np.array_equal(np.asarray(second), values())
    thread = threading.Thread(target=lambda items: items.clear(), args=([second],))
    del second
    thread.start()
    thread.join()
    del thread
    gc.collect()
    assert is_freed(host)


def test_a_capsule_that_nobody_takes_keeps_nothing(host: HostMemoryCuda) -> None:
    maps = a_map(host)
    capsule = maps.__dlpack__()
    maps.close()
    assert not is_freed(host)
    del capsule
    gc.collect()
    assert is_freed(host)


def test_maps_that_nobody_refers_to_are_freed(host: HostMemoryCuda) -> None:
    maps = a_map(host)
    del maps
    gc.collect()
    assert is_freed(host)


def test_the_cuda_array_interface_describes_the_maps(host: HostMemoryCuda) -> None:
    with a_map(host) as maps:
        facts = maps.__cuda_array_interface__
        assert facts["data"] == (maps.address, False)
        # The same dictionary is NumPy's own array interface, but for the stream.
        owner = type("Owner", (), {"__array_interface__": {k: v for k, v in facts.items() if k != "stream"}})()
        assert np.array_equal(np.asarray(owner), values())


def test_maps_come_to_the_cpu(host: HostMemoryCuda) -> None:
    with a_map(host) as maps:
        assert np.array_equal(maps.to_host(), values())


def test_closed_maps_say_so(host: HostMemoryCuda) -> None:
    maps = a_map(host)
    maps.close()
    for look in (lambda: maps.__cuda_array_interface__, maps.__dlpack__, maps.to_host):
        with pytest.raises(CudaError, match="closed"):
            look()


@pytest.mark.parametrize("asked", [{"copy": True}, {"dl_device": (7, 0)}])
def test_a_copy_or_another_device_is_refused(host: HostMemoryCuda, asked: dict[str, Any]) -> None:
    with a_map(host) as maps, pytest.raises(BufferError):
        maps.__dlpack__(**asked)
