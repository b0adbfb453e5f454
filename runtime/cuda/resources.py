"""Buffers, streams, events and kernels by pycuda. Their rules are in `interface`."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import pycuda.driver as driver
from numpy.typing import DTypeLike, NDArray

from br2net.errors import CudaError
from br2net.runtime.cuda.interface import Event, KernelArgument, Stream

if TYPE_CHECKING:
    from br2net.runtime.cuda.device import PycudaDevice

NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING of cuda.h: pycuda has no name for it
R = TypeVar("R", bound="Resource")


class Resource(ABC):
    """Something of a `PycudaDevice`: used inside its `active` block, closed once."""

    def __init__(self, owner: "PycudaDevice") -> None:
        owner.require_active()
        self.owner = owner
        self.is_open = True
        owner.adopt(self)

    @contextmanager
    def use(self, doing: str) -> Iterator[None]:
        """The block in which pycuda is asked for something: errors become this package's.

        Raises:
            CudaError: if this was closed, the thread is not the owner, or CUDA fails.
        """
        if not self.is_open:
            raise CudaError(f"A closed {type(self).__name__} was used while {doing}.")
        self.owner.require_active()
        try:
            yield
        except driver.Error as error:
            raise self.owner.context.failed(error, doing) from error

    def close(self) -> None:
        """Give it back to the driver; a second time does no harm."""
        if not self.is_open:
            return
        with self.use(f"closing a {type(self).__name__}"):
            self.is_open = False
            self.owner.forget(self)
            self._free()

    @abstractmethod
    def _free(self) -> None:
        """Give it back, inside the owner's `active` block."""

    def __enter__(self: R) -> R:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_open:
            self.close()


class PycudaDeviceBuffer(Resource):
    """Memory of the GPU."""

    def __init__(self, owner: "PycudaDevice", size_bytes: int) -> None:
        super().__init__(owner)
        self.size_bytes = size_bytes
        try:
            with self.use(f"reserving {size_bytes / 1e6:.1f} MB of its memory"):
                self._allocation = driver.mem_alloc(size_bytes)
        except CudaError:
            self.is_open = False
            owner.forget(self)
            raise

    @property
    def address(self) -> int:
        """Its device address."""
        if not self.is_open:
            raise CudaError("The address of a closed buffer was asked for.")
        return int(self._allocation)

    def close(self) -> None:
        """Free it.

        Raises:
            CudaError: if it was freed already.
        """
        if not self.is_open:
            raise CudaError("A buffer of the GPU was freed twice.")
        super().close()

    def _free(self) -> None:
        self._allocation.free()


class PycudaHostBuffer(Resource):
    """Page-locked memory of the CPU, mapped into the GPU's addresses where asked."""

    def __init__(self, owner: "PycudaDevice", size_bytes: int, mapped: bool) -> None:
        super().__init__(owner)
        self.size_bytes = size_bytes
        self._mapped = mapped
        try:
            with self.use(f"reserving {size_bytes / 1e6:.1f} MB of page-locked memory"):
                flags = driver.host_alloc_flags.DEVICEMAP if mapped else 0
                self._array: NDArray[np.uint8] = driver.pagelocked_empty(size_bytes, np.uint8, mem_flags=flags)
        except CudaError:
            self.is_open = False
            owner.forget(self)
            raise
        self._allocation = cast("driver.PagelockedHostAllocation", self._array.base)
        self._array[:] = 0

    @property
    def device_address(self) -> int:
        """Where the GPU sees it."""
        if not self._mapped:
            raise CudaError("This page-locked buffer is not mapped; the GPU cannot work in it.")
        with self.use("looking up a mapped buffer"):
            return int(self._allocation.get_device_pointer())

    def view(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """The first bytes as an array."""
        if not self.is_open:
            raise CudaError("A closed page-locked buffer was used.")
        return array_over(self._array, shape, dtype)

    def bytes_of(self, size_bytes: int) -> NDArray[np.uint8]:
        """The first `size_bytes`, for a copy."""
        return self._array[:size_bytes]

    def close(self) -> None:
        """Free it.

        Raises:
            CudaError: if it was freed already.
        """
        if not self.is_open:
            raise CudaError("A page-locked buffer was freed twice.")
        super().close()

    def _free(self) -> None:
        self._allocation.free()
        self._array = np.empty(0, np.uint8)


class PycudaStream(Resource):
    """A stream that does not wait for the default stream."""

    def __init__(self, owner: "PycudaDevice") -> None:
        super().__init__(owner)
        with self.use("making a stream"):
            self.pycuda = driver.Stream(NON_BLOCKING)

    @property
    def handle(self) -> int:
        """CUDA's handle."""
        return int(self.pycuda.handle)

    def synchronize(self) -> None:
        """Wait until all of its work is done."""
        with self.use("waiting for its work"):
            self.pycuda.synchronize()

    def wait(self, event: Event) -> None:
        """Let later work wait for the event."""
        with self.use("ordering two streams"):
            if isinstance(event, PycudaEvent):
                self.pycuda.wait_for_event(event.pycuda)
            else:
                self.owner.bindings.wait(self.handle, event)

    def _free(self) -> None:
        del self.pycuda  # pycuda destroys it with its last reference


class PycudaEvent(Resource):
    """An event by pycuda, which has no handle to give away; used where cuda-python is absent."""

    handle = None

    def __init__(self, owner: "PycudaDevice", timed: bool) -> None:
        super().__init__(owner)
        with self.use("making an event"):
            flags = driver.event_flags.DEFAULT if timed else driver.event_flags.DISABLE_TIMING
            self.pycuda = driver.Event(flags)

    def record(self, stream: Stream) -> None:
        """Set the point."""
        with self.use("recording an event"):
            self.pycuda.record(pycuda_stream(stream))

    def synchronize(self) -> None:
        """Wait until the point is reached."""
        with self.use("waiting for its work"):
            self.pycuda.synchronize()

    def milliseconds_since(self, earlier: Event) -> float:
        """Time between the two."""
        with self.use("timing its work"):
            if not isinstance(earlier, PycudaEvent):
                raise CudaError("The two events were not made by the same device.")
            return float(self.pycuda.time_since(earlier.pycuda))

    def _free(self) -> None:
        del self.pycuda


class PycudaModule(Resource):
    """Compiled kernels."""

    def __init__(self, owner: "PycudaDevice", image: bytes) -> None:
        super().__init__(owner)
        with self.use("loading its kernels"):
            self._module = driver.module_from_buffer(image)
        self._functions: dict[str, driver.Function] = {}

    def launch(
        self,
        name: str,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        arguments: Sequence[KernelArgument],
        stream: Stream,
    ) -> None:
        """Give a kernel to the stream."""
        with self.use(f"starting the kernel {name}"):
            if name not in self._functions:
                self._functions[name] = self._module.get_function(name)
            scalars = [np.uintp(item) if isinstance(item, int) else item for item in arguments]
            self._functions[name](*scalars, grid=grid, block=block, stream=pycuda_stream(stream))

    def _free(self) -> None:
        self._functions.clear()
        del self._module


def pycuda_stream(stream: Stream) -> driver.Stream:
    """Pycuda's object of a stream that a `PycudaDevice` made."""
    if not isinstance(stream, PycudaStream):
        raise CudaError("The stream was not made by the same device.")
    return stream.pycuda


def array_over(memory: NDArray[np.uint8], shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """The first bytes of `memory` as an array.

    Raises:
        ValueError: if it is too small.
    """
    size_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size_bytes > memory.size:
        raise ValueError(f"{tuple(shape)} of {np.dtype(dtype)} are {size_bytes} bytes; the buffer has {memory.size}.")
    return memory[:size_bytes].view(dtype).reshape(tuple(shape))
