"""A GPU by pycuda: the implementation of `Cuda` that runs for real."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

import pycuda.driver as driver

from br2net.errors import CudaError
from br2net.runtime.cuda.bindings import Bindings, BoundEvent, BoundGraph, find_bindings
from br2net.runtime.cuda.interface import DeviceBuffer, Event, HostBuffer, Stream
from br2net.runtime.cuda.lease import Lease
from br2net.runtime.cuda.primary_context import primary_context
from br2net.runtime.cuda.resources import (
    PycudaDeviceBuffer,
    PycudaEvent,
    PycudaHostBuffer,
    PycudaModule,
    PycudaStream,
    R,
    Resource,
    pycuda_stream,
)
from br2net.runtime.gpu import Gpu


class PycudaDevice:
    """One GPU, as one owner sees it. Several such objects of one GPU share its primary context and nothing else."""

    def __init__(self, index: int) -> None:
        self.context = primary_context(index)
        device = self.context.device
        major, minor = device.compute_capability()
        self._gpu = Gpu(device.name(), f"{major}.{minor}")
        self._integrated = bool(device.get_attribute(driver.device_attribute.INTEGRATED))
        self._index = index
        self._bindings = find_bindings()
        self._lease = Lease()
        self._owned: dict[int, Resource] = {}  # in the order of making
        self._orphans: deque[PycudaDeviceBuffer] = deque()
        self._closed = False
        self.context.users.add(self)

    @property
    def gpu(self) -> Gpu:
        """Its name and compute capability."""
        return self._gpu

    @property
    def integrated(self) -> bool:
        """Whether it shares the CPU's memory."""
        return self._integrated

    @property
    def can_capture(self) -> bool:
        """Whether cuda-python is installed."""
        return self._bindings is not None

    @property
    def bindings(self) -> Bindings:
        """`cuda.bindings`.

        Raises:
            CudaError: if cuda-python is not installed.
        """
        if self._bindings is None:
            raise CudaError("This needs cuda-python, which is not installed; `pip install cuda-python` brings it.")
        return self._bindings

    @property
    def dlpack_device(self) -> tuple[int, int]:
        """DLPack's name of this GPU."""
        return 2, self._index

    @contextmanager
    def active(self) -> Iterator[None]:
        """The block in which this thread owns the context."""
        if self._closed:
            raise CudaError("The GPU's buffers are closed; load the model again.")
        with self._inside():
            yield

    @contextmanager
    def _inside(self) -> Iterator[None]:
        outermost = self._lease.take()
        try:
            if outermost:
                self.context.push()
            try:
                yield
            finally:
                if outermost:
                    self._free_orphans()
                    self.context.pop()
        finally:
            self._lease.give_back()
            if outermost:
                self._sweep()  # what was released between the last look and leaving

    def require_active(self) -> None:
        """Refuse a thread that is not the owner.

        Raises:
            CudaError: if it is not.
        """
        if self.context.fault is not None:
            raise CudaError(str(self.context.fault), sticky=True)
        if not self._lease.is_mine():
            raise CudaError("CUDA is used outside `with cuda.active()`: this thread does not own the GPU's context.")

    def adopt(self, resource: Resource) -> None:
        """Own a new resource."""
        self._owned[id(resource)] = resource

    def forget(self, resource: Resource) -> None:
        """Own it no more."""
        self._owned.pop(id(resource), None)

    def memory(self) -> tuple[int, int]:
        """Free and total bytes."""
        self.require_active()
        free, total = driver.mem_get_info()
        return int(free), int(total)

    def device_buffer(self, size_bytes: int, *, outlives: bool = False) -> PycudaDeviceBuffer:
        """Memory of the GPU."""
        buffer = PycudaDeviceBuffer(self, size_bytes)
        if outlives:
            self.forget(buffer)
        return buffer

    def host_buffer(self, size_bytes: int, *, mapped: bool = False) -> PycudaHostBuffer:
        """Page-locked memory."""
        return PycudaHostBuffer(self, size_bytes, mapped)

    def stream(self) -> PycudaStream:
        """A stream."""
        return PycudaStream(self)

    def event(self, *, timed: bool = False) -> Event:
        """An event."""
        return PycudaEvent(self, timed) if self._bindings is None else BoundEvent(self, timed)

    def upload(self, destination: DeviceBuffer, source: HostBuffer, size_bytes: int, stream: Stream) -> None:
        """Copy to the GPU."""
        _check_sizes(size_bytes, destination, source)
        memory = _own(source, PycudaHostBuffer)
        with memory.use("copying to the GPU"):
            driver.memcpy_htod_async(destination.address, memory.bytes_of(size_bytes), pycuda_stream(stream))

    def download(self, destination: HostBuffer, source: DeviceBuffer, size_bytes: int, stream: Stream) -> None:
        """Copy from the GPU."""
        _check_sizes(size_bytes, destination, source)
        memory = _own(destination, PycudaHostBuffer)
        with memory.use("copying from the GPU"):
            driver.memcpy_dtoh_async(memory.bytes_of(size_bytes), source.address, pycuda_stream(stream))

    def copy(self, destination: DeviceBuffer, source: DeviceBuffer, size_bytes: int, stream: Stream) -> None:
        """Copy on the GPU."""
        _check_sizes(size_bytes, destination, source)
        with _own(source, PycudaDeviceBuffer).use("copying on the GPU"):
            driver.memcpy_dtod_async(destination.address, source.address, size_bytes, pycuda_stream(stream))

    def capture(self, stream: Stream, work: Callable[[], None]) -> BoundGraph:
        """Record a graph."""
        return BoundGraph(self, stream, work)

    def load_module(self, image: bytes) -> PycudaModule:
        """Load kernels."""
        return PycudaModule(self, image)

    def release(self, buffer: DeviceBuffer) -> None:
        """Free a buffer from any thread."""
        self._orphans.append(_own(buffer, PycudaDeviceBuffer))
        self._sweep()

    def _sweep(self) -> None:
        """Free what was released, unless a thread is inside, which does so when it leaves."""
        if self._orphans and self._lease.try_take_briefly():
            try:
                if self.context.fault is None:
                    self.context.push()
                    self._free_orphans()
                    self.context.pop()
            finally:
                self._lease.give_back_briefly()

    def _free_orphans(self) -> None:
        while self._orphans and self.context.fault is None:
            with suppress(CudaError):
                self._orphans.popleft().close()

    def close(self) -> None:
        """Wait for all streams and free everything that is still open, the latest first; a second time does no harm.

        Raises:
            CudaError: if another thread is inside `active`.
        """
        if self._closed:
            return
        if self.context.fault is None:
            with self._inside():
                everything = list(self._owned.values())
                for stream in everything:
                    if isinstance(stream, PycudaStream):
                        with suppress(CudaError):
                            stream.synchronize()  # nothing is freed that its work still uses
                for resource in reversed(everything):
                    with suppress(CudaError):
                        resource.close()
        self._owned.clear()
        self._closed = True

    def __enter__(self) -> "PycudaDevice":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_sizes(size_bytes: int, *buffers: DeviceBuffer | HostBuffer) -> None:
    for buffer in buffers:
        if size_bytes > buffer.size_bytes:
            raise ValueError(f"A copy of {size_bytes} bytes does not fit a buffer of {buffer.size_bytes} bytes.")


def _own(buffer: DeviceBuffer | HostBuffer, kind: type[R]) -> R:
    if not isinstance(buffer, kind):
        raise CudaError("The buffer was not made by the same device.")
    return buffer
