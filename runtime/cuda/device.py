"""A GPU by pycuda: the implementation of `Cuda` that runs for real."""

from collections.abc import Callable

import pycuda.driver as driver

from br2net.runtime.cuda.graphs import BoundGraph, find_bindings
from br2net.runtime.cuda.interface import DeviceBuffer, HostBuffer, Stream
from br2net.runtime.cuda.resources import (
    Owner,
    PycudaDeviceBuffer,
    PycudaEvent,
    PycudaHostBuffer,
    PycudaModule,
    PycudaStream,
    own,
    using,
)
from br2net.runtime.gpu import Gpu


class PycudaDevice(Owner):
    """One GPU. Several such objects of one GPU share its primary context and nothing else.

    Attributes:
        gpu: name and compute capability.
        can_capture: True if cuda-python is installed.
        dlpack_device: DLPack's name of this GPU.
    """

    def __init__(self, index: int) -> None:
        super().__init__(index)
        device = self.context.device
        major, minor = device.compute_capability()
        self.gpu = Gpu(device.name(), f"{major}.{minor}")
        self.can_capture = find_bindings() is not None
        self.dlpack_device = (2, index)

    def memory(self) -> tuple[int, int]:
        """Return free and total bytes."""
        with using(self, "asking for its free memory"):
            free, total = driver.mem_get_info()
            return int(free), int(total)

    def device_buffer(self, size_bytes: int, *, outlives: bool = False) -> PycudaDeviceBuffer:
        """Reserve memory of the GPU."""
        buffer = PycudaDeviceBuffer(self, size_bytes)
        if outlives:
            self.forget(buffer)
        return buffer

    def host_buffer(self, size_bytes: int) -> PycudaHostBuffer:
        """Reserve page-locked memory."""
        return PycudaHostBuffer(self, size_bytes)

    def stream(self) -> PycudaStream:
        """Make a stream."""
        return PycudaStream(self)

    def event(self) -> PycudaEvent:
        """Make an event."""
        return PycudaEvent(self)

    def upload(self, destination: DeviceBuffer, source: HostBuffer, size_bytes: int, stream: Stream) -> None:
        """Copy to the GPU."""
        _check_sizes(size_bytes, destination, source)
        memory = own(source, PycudaHostBuffer)
        with memory.use("copying to the GPU"):
            bytes_ = memory.view((size_bytes,), "u1")
            driver.memcpy_htod_async(destination.address, bytes_, own(stream, PycudaStream).pycuda)

    def download(self, destination: HostBuffer, source: DeviceBuffer, size_bytes: int, stream: Stream) -> None:
        """Copy from the GPU."""
        _check_sizes(size_bytes, destination, source)
        memory = own(destination, PycudaHostBuffer)
        with memory.use("copying from the GPU"):
            bytes_ = memory.view((size_bytes,), "u1")
            driver.memcpy_dtoh_async(bytes_, source.address, own(stream, PycudaStream).pycuda)

    def capture(self, stream: Stream, work: Callable[[], None]) -> BoundGraph:
        """Record a graph."""
        return BoundGraph(self, stream, work)

    def load_module(self, image: bytes) -> PycudaModule:
        """Load kernels."""
        return PycudaModule(self, image)

    def __enter__(self) -> "PycudaDevice":
        return self


def _check_sizes(size_bytes: int, *buffers: DeviceBuffer | HostBuffer) -> None:
    for buffer in buffers:
        if size_bytes > buffer.size_bytes:
            raise ValueError(f"A copy of {size_bytes} bytes does not fit a buffer of {buffer.size_bytes} bytes.")
