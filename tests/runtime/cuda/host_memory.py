"""A GPU in host memory: `Cuda` as in `br2net.runtime.cuda.interface`, enforcing the rules that it states.

Work given to a stream is really put off, by a schedule that a GPU might choose: "latest" does nothing before somebody
waits for it, "earliest" everything at once, and "random" something in between. What may not be relied on is refused
whatever the schedule: use after free, double free, touching or freeing a buffer before the stream is done with it, two
streams in one buffer without an order, a thread outside of `active`, sizes that do not fit, what a capture does not allow.

Several threads may be inside `active`; one of them at a time is in a call.
"""

import functools
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from br2net.errors import CudaError, OutOfMemoryError
from br2net.runtime.cuda.interface import DeviceBuffer, Event, HostBuffer, Module, Stream
from br2net.runtime.cuda.lock import ContextLock
from br2net.runtime.gpu import Gpu

from .ordering import Access, Accesses, Clock, RuleBroken, merged

FRESH, FREED = 0xA5, 0xDD  # what uninitialised and freed memory holds
SCHEDULES = ("latest", "earliest", "random")
T = TypeVar("T", bound="Thing")
Bytes = NDArray[np.uint8]
P = ParamSpec("P")
R = TypeVar("R")


def one_at_a_time(call: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Let one thread at a time into the calls of one GPU."""

    @functools.wraps(call)
    def wrapped(self: Any, *arguments: P.args, **options: P.kwargs) -> R:
        cuda = self if isinstance(self, HostMemoryCuda) else self.cuda
        with cuda.mutex:
            return call(self, *arguments, **options)

    return wrapped


@dataclass(frozen=True)
class Operation:
    """Work of a stream, and the buffers that it touches."""

    doing: str
    run: Callable[[], None]
    reads: "tuple[Memory, ...]" = ()
    writes: "tuple[Memory, ...]" = ()


@dataclass(frozen=True)
class Marker:
    """The `number`-th recording of an event, in a stream."""

    event: "FakeEvent"
    number: int


Item = Operation | Marker


class Thing:
    """What a `HostMemoryCuda` made."""

    def __init__(self, cuda: "HostMemoryCuda") -> None:
        cuda.check_thread()
        self.cuda = cuda
        self.is_open = True
        cuda.things.append(self)

    def check(self) -> None:
        """Refuse use after close, and use by another thread."""
        self.cuda.check_thread()
        if not self.is_open:
            raise RuleBroken(f"a {type(self).__name__} is used after it was closed")

    @one_at_a_time
    def close(self) -> None:
        if self.is_open:
            self.cuda.check_thread()
            self.is_open = False

    def __enter__(self: T) -> T:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_open:
            self.close()


class Memory(Thing):
    """A buffer."""

    def __init__(self, cuda: "HostMemoryCuda", size_bytes: int, fill: int) -> None:
        super().__init__(cuda)
        self.size_bytes = size_bytes
        self.bytes: Bytes = np.full(size_bytes, fill, np.uint8)
        self.accesses = Accesses(f"buffer {len(cuda.things)} of {size_bytes} bytes")

    @one_at_a_time
    def close(self) -> None:
        self.cuda.check_thread()
        if not self.is_open:
            raise RuleBroken("double free")
        for access in self.accesses.pending(self.cuda.host_clock):
            raise RuleBroken(f"{self.accesses.name} is freed before {access.doing} is done")
        for graph in self.cuda.in_use():
            if isinstance(graph, FakeGraph) and graph.touches(self):
                raise RuleBroken(f"{self.accesses.name} is freed before a graph that touches it")
        self.is_open = False
        self.bytes[:] = FREED


class FakeDeviceBuffer(Memory):
    @property
    def address(self) -> int:
        self.check()
        return self.bytes.ctypes.data


class FakeHostBuffer(Memory):
    def __init__(self, cuda: "HostMemoryCuda", size_bytes: int) -> None:
        super().__init__(cuda, size_bytes, 0)
        self.filled = 0  # how often a stream wrote to it

    @one_at_a_time
    def view(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        self.check()
        for access in self.accesses.pending(self.cuda.host_clock, writes=True):
            raise RuleBroken(f"{self.accesses.name} is looked at before {access.doing} is done")
        size_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if size_bytes > self.size_bytes:
            raise ValueError(f"{size_bytes} bytes of {self.size_bytes}")
        return self.bytes[:size_bytes].view(dtype).reshape(tuple(shape))


class FakeEvent(Thing):
    def __init__(self, cuda: "HostMemoryCuda") -> None:
        super().__init__(cuda)
        self.recorded = self.reached = 0
        self.clock: Clock = {}
        self.stream: FakeStream | None = None

    @one_at_a_time
    def record(self, stream: Stream) -> None:
        self.check()
        own = self.cuda.stream_of(stream)
        self.recorded += 1
        self.clock = merged(own.clock, self.cuda.host_clock)
        self.stream = own
        own.enqueue(Marker(self, self.recorded))

    @one_at_a_time
    def synchronize(self) -> None:
        self.check()
        self.cuda.refuse_in_capture("waiting for an event")
        self.reach(self.recorded)
        self.cuda.host_clock = merged(self.cuda.host_clock, self.clock)

    def reach(self, number: int) -> None:
        """Do what stands before a recording."""
        while self.reached < number:
            assert self.stream is not None
            if not self.stream.items:
                raise RuleBroken("an event is waited for that only a capture recorded")
            self.stream.do_next()

    def is_reached(self) -> bool:
        self.check()
        if self.reached < self.recorded:
            return False
        self.cuda.host_clock = merged(self.cuda.host_clock, self.clock)
        return True

    @one_at_a_time
    def milliseconds_since(self, earlier: Event) -> float:
        self.check()
        if not (self.is_reached() and earlier.is_reached()):
            raise CudaError("CUDA failed while timing its work: device not ready.")
        return 1.0


class FakeStream(Thing):
    def __init__(self, cuda: "HostMemoryCuda") -> None:
        super().__init__(cuda)
        self.items: list[Item] = []
        self.clock: Clock = {}
        self.count = 0
        self.captured: list[Operation] | None = None
        self.captures_in = 0  # the thread that captures

    @property
    def handle(self) -> int:
        self.check()
        return id(self)

    @one_at_a_time
    def give(self, operation: Operation) -> None:
        """Enqueue an operation, or record it where a capture is on."""
        self.check()
        for memory in (*operation.reads, *operation.writes):
            memory.check()
        if self.captured is not None:
            self.captured.append(operation)
            return
        self.count += 1
        self.clock = merged(self.clock, self.cuda.host_clock, {self.handle: self.count})
        before = self.clock | {self.handle: self.count - 1}
        for memories, writes in ((operation.reads, False), (operation.writes, True)):
            for memory in memories:
                memory.accesses.add(Access(self.handle, self.count, writes, operation.doing), before)
        sources = [
            (memory, memory.bytes.copy(), memory.filled)
            for memory in operation.reads
            if isinstance(memory, FakeHostBuffer)
        ]
        self.enqueue(Operation(operation.doing, lambda: _run(operation, sources)))

    def enqueue(self, item: Item) -> None:
        """Put an item at the end, and do as much as the schedule wants."""
        if self.captured is not None:
            return
        self.items.append(item)
        self.cuda.go_on()

    def do_next(self) -> None:
        """Do the first item."""
        item = self.items.pop(0)
        if isinstance(item, Operation):
            item.run()
        else:
            item.event.reached = max(item.event.reached, item.number)

    @one_at_a_time
    def synchronize(self) -> None:
        self.check()
        self.cuda.refuse_in_capture("waiting for a stream")
        self.cuda.raise_fault("waiting for its work")
        while self.items:
            self.do_next()
        self.cuda.host_clock = merged(self.cuda.host_clock, self.clock)

    @one_at_a_time
    def close(self) -> None:
        if self.is_open and self.captured is not None:
            raise RuleBroken("a stream is closed during a capture")
        super().close()


class FakeGraph(Thing):
    def __init__(self, cuda: "HostMemoryCuda", stream: FakeStream, work: Callable[[], None]) -> None:
        super().__init__(cuda)
        if stream.items:
            raise RuleBroken("a capture begins before the stream is synchronised")
        self.operations = stream.captured = []
        stream.captures_in = threading.get_ident()
        try:
            work()
        except BaseException:
            self.is_open = False
            raise
        finally:
            stream.captured = None
        self.launches = 0

    def touches(self, memory: Memory) -> bool:
        """Whether its work reads or writes a buffer."""
        return any(memory in (*item.reads, *item.writes) for item in self.operations)

    @one_at_a_time
    def launch(self, stream: Stream) -> None:
        self.check()
        self.launches += 1
        for operation in self.operations:
            self.cuda.stream_of(stream).give(operation)


@dataclass(eq=False)
class HostMemoryCuda:
    """`Cuda` in host memory.

    Attributes:
        can_capture: as if cuda-python was installed.
        limit_bytes: of its memory.
        schedule: one of `SCHEDULES`.
        fault: CUDA's text of a sticky fault; everything fails once it is set.
    """

    can_capture: bool = True
    limit_bytes: int = 1 << 40
    schedule: str = "latest"
    gpu: Gpu = field(default_factory=lambda: Gpu("Host Memory", "8.7"))
    dlpack_device: tuple[int, int] = (1, 0)
    fault: str = ""
    things: list[Thing] = field(default_factory=list)
    host_clock: Clock = field(default_factory=dict)
    is_closed: bool = False

    def __post_init__(self) -> None:
        self.mutex = threading.RLock()
        self.lock = ContextLock()
        self._random = random.Random(0)
        self._going = False

    @contextmanager
    def active(self) -> Iterator[None]:
        self.raise_fault("entering the GPU's context")
        self.lock.enter()
        try:
            yield
        finally:
            self.lock.leave()

    def check_thread(self) -> None:
        if not self.lock.is_inside():
            raise RuleBroken("CUDA is used by a thread that is not inside `active`")

    def raise_fault(self, doing: str) -> None:
        if self.fault:
            raise CudaError(f"The GPU's context broke while {doing} ({self.fault}).", sticky=True)

    def refuse_in_capture(self, doing: str) -> None:
        me = threading.get_ident()
        streams = [item for item in self.things if isinstance(item, FakeStream)]
        if any(stream.captured is not None and stream.captures_in == me for stream in streams):
            raise RuleBroken(f"{doing} is not allowed during a capture")

    def go_on(self) -> None:
        """Do what the schedule wants done now."""
        if self._going or self.schedule == "latest":
            return
        self._going = True
        streams = [item for item in self.things if isinstance(item, FakeStream)]
        if self.schedule == "random":
            self._random.shuffle(streams)
            streams = streams[: self._random.randint(0, len(streams))]
        for stream in streams:
            steps = len(stream.items) if self.schedule == "earliest" else self._random.randint(0, len(stream.items))
            for _ in range(steps):
                if stream.items:
                    stream.do_next()
        self._going = False

    def in_use(self) -> list[Thing]:
        """Everything that is open."""
        return [item for item in self.things if item.is_open]

    def memory_in_use(self) -> int:
        """Bytes of all open buffers, page-locked ones included."""
        return sum(item.size_bytes for item in self.in_use() if isinstance(item, Memory))

    @one_at_a_time
    def memory(self) -> tuple[int, int]:
        return self.limit_bytes - self.memory_in_use(), self.limit_bytes

    def _reserve(self, size_bytes: int) -> None:
        self.check_thread()
        self.raise_fault("reserving memory")
        if size_bytes < 1:
            raise RuleBroken(f"{size_bytes} bytes of memory")
        if size_bytes > self.memory()[0]:
            raise OutOfMemoryError("The GPU ran out of memory.")

    @one_at_a_time
    def device_buffer(self, size_bytes: int, *, outlives: bool = False) -> FakeDeviceBuffer:
        self._reserve(size_bytes)
        buffer = FakeDeviceBuffer(self, size_bytes, FRESH)
        if outlives:
            self.lent.append(buffer)
        return buffer

    lent: list[FakeDeviceBuffer] = field(default_factory=list)

    @one_at_a_time
    def host_buffer(self, size_bytes: int) -> FakeHostBuffer:
        self._reserve(size_bytes)
        return FakeHostBuffer(self, size_bytes)

    @one_at_a_time
    def stream(self) -> FakeStream:
        return FakeStream(self)

    @one_at_a_time
    def event(self) -> FakeEvent:
        return FakeEvent(self)

    def has_stream(self, handle: int) -> bool:
        """Whether a stream handle is one of its own."""
        return any(isinstance(item, FakeStream) and id(item) == handle for item in self.things)

    def stream_of(self, stream: Stream | int) -> FakeStream:
        """The stream that is meant, also by its handle."""
        handle = stream if isinstance(stream, int) else stream.handle
        for item in self.things:
            if isinstance(item, FakeStream) and id(item) == handle:
                item.check()
                return item
        raise RuleBroken("a stream of another device")

    def memory_at(self, address: int) -> Memory:
        """The buffer at a device address."""
        for item in self.things:
            if isinstance(item, Memory) and item.bytes.ctypes.data == address:
                item.check()
                return item
        raise RuleBroken("an address that no buffer has")

    def upload(self, destination: DeviceBuffer, source: HostBuffer, size_bytes: int, stream: Stream) -> None:
        self._copy("an upload", self.memory_of(destination), self.memory_of(source), size_bytes, stream)

    def download(self, destination: HostBuffer, source: DeviceBuffer, size_bytes: int, stream: Stream) -> None:
        self._copy("a download", self.memory_of(destination), self.memory_of(source), size_bytes, stream)

    def memory_of(self, buffer: DeviceBuffer | HostBuffer) -> Memory:
        if not isinstance(buffer, Memory) or buffer.cuda is not self:
            raise RuleBroken("a buffer of another device")
        return buffer

    def _copy(self, doing: str, destination: Memory, source: Memory, size_bytes: int, stream: Stream) -> None:
        self.raise_fault("copying")
        if size_bytes > min(destination.size_bytes, source.size_bytes):
            raise ValueError(f"{size_bytes} bytes do not fit")

        def run() -> None:
            destination.bytes[:size_bytes] = source.bytes[:size_bytes]

        self.stream_of(stream).give(Operation(doing, run, reads=(source,), writes=(destination,)))

    def capture(self, stream: Stream, work: Callable[[], None]) -> FakeGraph:
        if not self.can_capture:
            raise RuleBroken("a capture without cuda-python")
        return FakeGraph(self, self.stream_of(stream), work)

    def load_module(self, image: bytes) -> Module:
        raise CudaError("CUDA failed while loading its kernels: there are none in host memory.")

    @one_at_a_time
    def release(self, buffer: DeviceBuffer) -> None:
        memory = self.memory_of(buffer)
        if not memory.is_open:
            raise RuleBroken("double free")
        for access in memory.accesses.pending(self.host_clock):
            raise RuleBroken(f"{memory.accesses.name} is released before {access.doing} is done")
        self.lent = [item for item in self.lent if item is not memory]
        memory.is_open = False
        memory.bytes[:] = FREED

    def close(self) -> None:
        if not self.lock.close():
            return
        try:
            if not self.fault:
                for item in self.things:
                    if isinstance(item, FakeStream) and item.is_open:
                        item.synchronize()
                for item in reversed(self.in_use()):
                    if item not in self.lent:
                        item.close()
            self.is_closed = True
        finally:
            self.lock.leave()

    def __enter__(self) -> "HostMemoryCuda":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _run(operation: Operation, sources: list[tuple[FakeHostBuffer, Bytes, int]]) -> None:
    for memory in (*operation.reads, *operation.writes):
        if not memory.is_open:
            raise RuleBroken(f"{operation.doing} uses {memory.accesses.name} after it was freed")
    for memory, before, filled in sources:
        if memory.filled == filled and not np.array_equal(memory.bytes, before):
            raise RuleBroken(f"{memory.accesses.name} was written to before {operation.doing} was done with it")
    operation.run()
    for memory in operation.writes:
        if isinstance(memory, FakeHostBuffer):
            memory.filled += 1
