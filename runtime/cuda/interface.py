"""The narrow interface to CUDA: everything that this package asks of a GPU, and the rules for asking.

`open_cuda` gives the implementation by pycuda; the tests have one in host memory, which enforces the rules below.

Ownership. A `Cuda` object owns every buffer, stream, event, graph and module that it made, until that object's own `close`
or, at the latest, the `close` of the `Cuda`. Each is a context manager whose end closes it. Closing a buffer twice is an
error (a double free); closing anything else twice does no harm.

Threads. All of it is used inside `with cuda.active():`, which makes the GPU's context current in this thread. Any number of
threads may be inside at the same time, waiting for the GPU included, but each buffer, stream, event and graph is used by one
thread at a time. `close` waits until all other threads have left.

Streams. Work that is given to a stream is done later, in order. What an upload reads and what a download fills may be
touched again when the stream, or an event recorded on it afterwards, was synchronised; nothing may be freed before that.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from br2net.runtime.gpu import Gpu

C = TypeVar("C", bound="Closable")
KernelArgument = np.generic | int  # a scalar of its exact C type, or the address of a buffer


class Closable(Protocol):
    """Something owned: `close` gives it back, as does the end of a `with` block."""

    def close(self) -> None:
        """Give it back to the driver; it cannot be used afterwards."""

    def __enter__(self: C) -> C: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class DeviceBuffer(Closable, Protocol):
    """Memory of the GPU."""

    @property
    def address(self) -> int:
        """Device address, valid until the buffer is closed."""

    @property
    def size_bytes(self) -> int:
        """Size in bytes."""


class HostBuffer(Closable, Protocol):
    """Page-locked memory of the CPU, which the GPU copies from and to without the CPU."""

    @property
    def size_bytes(self) -> int:
        """Size in bytes."""

    def view(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """Return the first bytes as an array, which must not be used after the buffer was closed.

        Raises:
            ValueError: if the buffer is too small for that.
        """


class Event(Closable, Protocol):
    """A point in a stream. Before it was first recorded it counts as reached."""

    def record(self, stream: "Stream") -> None:
        """Set the point: after everything that was given to `stream` so far."""

    def synchronize(self) -> None:
        """Wait until the point is reached."""

    def milliseconds_since(self, earlier: "Event") -> float:
        """Return the time between two points that are reached."""


class Stream(Closable, Protocol):
    """A queue of work on the GPU, never the default stream."""

    @property
    def handle(self) -> int:
        """CUDA's handle."""

    def synchronize(self) -> None:
        """Wait until all of its work is done."""


class Graph(Closable, Protocol):
    """Captured work, which is given to a stream as one. Every buffer that it touches must outlive it."""

    def launch(self, stream: Stream) -> None:
        """Give the work to `stream` once more."""


class Module(Closable, Protocol):
    """Compiled kernels."""

    def launch(
        self,
        name: str,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        arguments: Sequence[KernelArgument],
        stream: Stream,
    ) -> None:
        """Give a kernel to `stream`. Integers among the arguments are addresses, 64 bits wide."""


class Cuda(Closable, Protocol):
    """One GPU."""

    @property
    def gpu(self) -> Gpu:
        """Its name and compute capability."""

    @property
    def can_capture(self) -> bool:
        """Whether `capture` works here: cuda-python is installed."""

    @property
    def dlpack_device(self) -> tuple[int, int]:
        """Type and number of the device in DLPack's counting: `(2, n)` for CUDA."""

    def active(self) -> AbstractContextManager[None]:
        """Return the block in which this thread may use everything else; it may be nested.

        Raises:
            CudaError: if this object was closed, or an earlier fault ended the context.
        """

    def memory(self) -> tuple[int, int]:
        """Return free and total bytes of the GPU's memory."""

    def device_buffer(self, size_bytes: int, *, outlives: bool = False) -> DeviceBuffer:
        """Reserve memory of the GPU; with `outlives` it is not freed by `close`, only by `release`."""

    def host_buffer(self, size_bytes: int) -> HostBuffer:
        """Reserve page-locked memory, filled with zeros."""

    def stream(self) -> Stream:
        """Make a stream that does not wait for the default stream."""

    def event(self) -> Event:
        """Make an event that knows its time."""

    def upload(self, destination: DeviceBuffer, source: HostBuffer, size_bytes: int, stream: Stream) -> None:
        """Copy the first bytes of `source` to the start of `destination`, later, in the order of `stream`.

        Raises:
            ValueError: if either is smaller than that.
        """

    def download(self, destination: HostBuffer, source: DeviceBuffer, size_bytes: int, stream: Stream) -> None:
        """Copy in the other direction, by the same rules."""

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        """Record what `work` gives to `stream`, without doing it; other threads' calls do not disturb it.

        The caller has done `work` once before and synchronised the stream.

        Raises:
            CudaError: if something in `work` cannot be captured.
        """

    def load_module(self, image: bytes) -> Module:
        """Load a cubin, fatbin or PTX."""

    def release(self, buffer: DeviceBuffer) -> None:
        """Close a buffer that outlives, from any thread at any time, also after `close`."""
