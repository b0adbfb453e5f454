"""Buffers, streams, events and kernels by pycuda. Their rules are in `interface`."""

from abc import abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar, cast

import numpy as np
import pycuda.driver as driver
from numpy.typing import DTypeLike, NDArray

from br2net.errors import CudaError
from br2net.runtime.cuda.context import PrimaryContext, primary_context
from br2net.runtime.cuda.interface import Event, KernelArgument, Stream
from br2net.runtime.cuda.lock import ContextLock
from br2net.types import Closing

NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING of cuda.h: pycuda has no name for it
R = TypeVar("R", bound="Resource")


class Owner(Closing):
    """The owner of everything that one `Cuda` object made."""

    def __init__(self, index: int) -> None:
        self.context: PrimaryContext = primary_context(index)
        self._lock = ContextLock()
        self._owned: dict[int, Resource] = {}  # in the order of making
        self._released: deque[PycudaDeviceBuffer] = deque()
        self.context.users.add(self)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make the context current in this thread."""
        outermost = self._lock.enter()
        try:
            with self._pushed(outermost):
                yield
        finally:
            self._lock.leave()
            if outermost:
                self._free_released()  # whatever a destructor released in between

    @contextmanager
    def _pushed(self, outermost: bool) -> Iterator[None]:
        if outermost:
            self.context.push()
        try:
            yield
        finally:
            if outermost:
                self.context.pop()

    def require_active(self) -> None:
        """Refuse a thread that is not inside `active`.

        Raises:
            CudaError: if it is not, or the context is lost.
        """
        self.context.check()
        if not self._lock.is_inside():
            raise CudaError("CUDA is used outside `with cuda.active()`: the GPU's context is not current here.")

    def adopt(self, resource: "Resource") -> None:
        """Own a new resource."""
        self._owned[id(resource)] = resource

    def forget(self, resource: "Resource") -> None:
        """Own it no more."""
        self._owned.pop(id(resource), None)

    def release(self, buffer: object) -> None:
        """Free a buffer from any thread; a thread inside `active` does so when it leaves, never during a capture."""
        self._released.append(own(buffer, PycudaDeviceBuffer))
        self._free_released()

    def _free_released(self) -> None:
        if not self._released or self._lock.is_inside() or self.context.fault is not None:
            return
        with suppress(CudaError, IndexError), self._pushed(True):  # another thread may take the last one
            while True:
                self._released.popleft().free()

    def close(self) -> None:
        """Wait for all threads and streams and free everything that is open, the latest first. Idempotent.

        Raises:
            CudaError: if this thread is inside `active`.
        """
        if not self._lock.close():
            return
        try:
            if self.context.fault is None:
                with self._pushed(True):
                    everything = list(self._owned.values())
                    for stream in everything:
                        if isinstance(stream, PycudaStream):
                            with suppress(CudaError):
                                stream.synchronize()  # nothing is freed that its work still uses
                    for resource in reversed(everything):
                        with suppress(CudaError):
                            resource.close()
            self._owned.clear()
        finally:
            self._lock.leave()


class Resource(Closing):
    """Something of an `Owner`: used inside its `active` block, closed once.

    Subclasses make pycuda's object first and call `__init__` then, so that nothing is owned that could not be made.
    """

    is_memory = False

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.is_open = True
        owner.adopt(self)

    @contextmanager
    def use(self, doing: str) -> Iterator[None]:
        """Ask pycuda for something inside this block, in which errors become this package's.

        Raises:
            CudaError: if this was closed, the thread is not inside `active`, or CUDA fails.
        """
        if not self.is_open:
            raise CudaError(f"A closed {type(self).__name__} was used while {doing}.")
        with using(self.owner, doing):
            yield

    def close(self) -> None:
        """Give it back to the driver; a second time does no harm, except to memory.

        Raises:
            CudaError: if memory was freed already.
        """
        if not self.is_open and self.is_memory:
            raise CudaError(f"A {type(self).__name__} was freed twice.")
        if not self.is_open:
            return
        with self.use(f"closing a {type(self).__name__}"):
            self.is_open = False
            self.owner.forget(self)
            self._free()

    @abstractmethod
    def _free(self) -> None:
        """Give it back, with the context current."""

    def __exit__(self, *_: object) -> None:
        if self.is_open:
            self.close()


@contextmanager
def using(owner: Owner, doing: str) -> Iterator[None]:
    """Turn errors of the driver inside this block into this package's.

    Raises:
        CudaError: if the thread is not inside `active`, or CUDA fails.
    """
    owner.require_active()
    try:
        yield
    except driver.Error as error:
        raise owner.context.failed(error, doing) from error
    except CudaError as error:
        owner.context.failed(error, doing)
        raise


class PycudaDeviceBuffer(Resource):
    """Memory of the GPU."""

    is_memory = True

    def __init__(self, owner: Owner, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        with using(owner, f"reserving {size_bytes / 1e6:.1f} MB of its memory"):
            self._allocation = driver.mem_alloc(size_bytes)
        super().__init__(owner)

    @property
    def address(self) -> int:
        """Device address."""
        if not self.is_open:
            raise CudaError("The address of a closed buffer was asked for.")
        return int(self._allocation)

    def free(self) -> None:
        """Free it after its owner was closed, too; the context is current."""
        if self.is_open:
            self.is_open = False
            with suppress(driver.Error):
                self._free()

    def _free(self) -> None:
        self._allocation.free()


class PycudaHostBuffer(Resource):
    """Page-locked memory of the CPU."""

    is_memory = True

    def __init__(self, owner: Owner, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        with using(owner, f"reserving {size_bytes / 1e6:.1f} MB of page-locked memory"):
            self._array: NDArray[np.uint8] = driver.pagelocked_empty(size_bytes, np.uint8)
        self._allocation = cast("driver.PagelockedHostAllocation", self._array.base)
        self._array[:] = 0
        super().__init__(owner)

    def view(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """Return the first bytes as an array."""
        if not self.is_open:
            raise CudaError("A closed page-locked buffer was used.")
        size_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        if size_bytes > self.size_bytes:
            raise ValueError(
                f"A view {tuple(shape)} of {np.dtype(dtype)} needs {size_bytes} bytes; the buffer has {self.size_bytes}."
            )
        return self._array[:size_bytes].view(dtype).reshape(tuple(shape))

    def _free(self) -> None:
        self._allocation.free()
        self._array = np.empty(0, np.uint8)


class PycudaStream(Resource):
    """A stream that does not wait for the default stream."""

    def __init__(self, owner: Owner) -> None:
        with using(owner, "making a stream"):
            self.pycuda = driver.Stream(NON_BLOCKING)
        super().__init__(owner)

    @property
    def handle(self) -> int:
        """CUDA's handle."""
        return int(self.pycuda.handle)

    def synchronize(self) -> None:
        """Wait until all of its work is done."""
        with self.use("waiting for its work"):
            self.pycuda.synchronize()

    def _free(self) -> None:
        del self.pycuda  # pycuda destroys it with its last reference


class PycudaEvent(Resource):
    """A timed event."""

    def __init__(self, owner: Owner) -> None:
        with using(owner, "making an event"):
            self.pycuda = driver.Event()
        super().__init__(owner)

    def record(self, stream: Stream) -> None:
        """Set the point."""
        with self.use("recording an event"):
            self.pycuda.record(own(stream, PycudaStream).pycuda)

    def synchronize(self) -> None:
        """Wait until the point is reached."""
        with self.use("waiting for its work"):
            self.pycuda.synchronize()

    def milliseconds_since(self, earlier: Event) -> float:
        """Return the time between the two."""
        with self.use("timing its work"):
            return float(self.pycuda.time_since(own(earlier, PycudaEvent).pycuda))

    def _free(self) -> None:
        del self.pycuda


class PycudaModule(Resource):
    """Compiled kernels."""

    def __init__(self, owner: Owner, image: bytes) -> None:
        with using(owner, "loading its kernels"):
            self._module = driver.module_from_buffer(image)
        self._functions: dict[str, driver.Function] = {}
        super().__init__(owner)

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
            self._functions[name](*scalars, grid=grid, block=block, stream=own(stream, PycudaStream).pycuda)

    def _free(self) -> None:
        self._functions.clear()
        del self._module


def own(thing: object, kind: type[R]) -> R:
    """Return a stream, event or buffer as the class of this module that it must be.

    Raises:
        CudaError: if it was not made by a `PycudaDevice`.
    """
    if not isinstance(thing, kind):
        raise CudaError(f"A {type(thing).__name__} was not made by the same device; a {kind.__name__} is needed.")
    return thing
