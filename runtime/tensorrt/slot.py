"""One execution context with its buffers and streams: how a batch gets in, and its maps out.

Discrete GPU: a batch is put into page-locked memory, copied to the GPU on one stream, computed on another, and the maps
are copied back on that one. The page-locked memory is there twice (two lanes), and the copy of the next batch begins as
soon as TensorRT says that the input was consumed, so it runs while this batch computes.

Integrated GPU: a lane is mapped memory, which the engine reads and writes where it is; nothing is copied.
"""

import time
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from br2net.runtime.backend import DeviceTimes
from br2net.runtime.cuda.device_map import DeviceMap
from br2net.runtime.cuda.interface import Cuda, DeviceBuffer, Event, HostBuffer
from br2net.runtime.tensorrt.engine import Engine
from br2net.runtime.tensorrt.execution import Execution, Shape
from br2net.types import Batch


@dataclass(eq=False)
class Lane:
    """Page-locked memory for one batch on its way in and its maps on their way out.

    Points in time: `began` before the upload, `taken` after it (the input may be written to again), `started` and
    `computed` before and after the engine, `done` after the download (the output may be read).
    """

    input: HostBuffer
    output: HostBuffer
    began: Event
    taken: Event
    started: Event
    computed: Event
    done: Event
    enqueue_ms: float = 0.0
    pending: "Pending | None" = None


class Pending:
    """A batch that was submitted. Its maps wait in the slot until `collect`, or until the slot needs the place."""

    def __init__(self, slot: "Slot", lane: Lane, shape: Shape) -> None:
        self._slot, self._lane, self._shape = slot, lane, shape
        self._maps: Batch | None = None

    @property
    def is_collected(self) -> bool:
        """Whether the maps were taken out of the slot."""
        return self._maps is not None

    def collect(self) -> Batch:
        """Wait for the maps and take them out: float32 `(N, 1, h, w)`, owned by the caller. Inside `active`."""
        if self._maps is None:
            self._maps = self._slot.take_out(self._lane, self._shape)
            self._lane.pending = None
        return self._maps


class Slot:
    """Runs batches of up to `largest` images in one execution context. Everything is called inside `cuda.active()`."""

    def __init__(self, cuda: Cuda, engine: Engine, largest: Shape, *, graphs: bool) -> None:
        self._cuda, self._engine = cuda, engine
        count, _, height, width = largest
        self._input_bytes = int(np.prod(largest)) * engine.tensors.input_type.itemsize
        self._output_bytes = count * height * width * engine.tensors.output_type.itemsize
        self._mapped = cuda.integrated
        self._turn = 0
        self._last: Lane | None = None
        self._owned = ExitStack()
        try:
            self._reserve(graphs)
        except BaseException:
            self._owned.close()
            raise

    def _reserve(self, graphs: bool) -> None:
        """Make streams, events and buffers, and bind those that stay."""
        cuda, own = self._cuda, self._owned.enter_context
        self._compute, self._uploads = own(cuda.stream()), own(cuda.stream())
        self._execution = Execution(cuda, self._engine, self._compute, graphs=graphs)
        # A graph is of fixed addresses, so a mapped lane can only be one.
        self._lanes = [self._new_lane() for _ in range(1 if self._mapped and self._execution.wants_graph else 2)]
        self._input: DeviceBuffer | None = None if self._mapped else own(cuda.device_buffer(self._input_bytes))
        self._output: DeviceBuffer | None = None if self._mapped else own(cuda.device_buffer(self._output_bytes))
        self._consumed: Event | None = None
        if self._input is None or self._output is None:
            return
        self._execution.bind(self._input.address, self._output.address)
        if cuda.can_capture and not self._execution.wants_graph:
            self._consumed = own(cuda.event())
            self._execution.tell_consumed(self._consumed)

    def _new_lane(self) -> Lane:
        own, mapped = self._owned.enter_context, self._mapped
        buffers = [own(self._cuda.host_buffer(size, mapped=mapped)) for size in (self._input_bytes, self._output_bytes)]
        began, taken, started, computed, done = (own(self._cuda.event(timed=True)) for _ in range(5))
        return Lane(buffers[0], buffers[1], began, taken, started, computed, done)

    @property
    def is_idle(self) -> bool:
        """Whether the next batch need not wait for an earlier one's maps to be taken out."""
        return all(lane.pending is None for lane in self._lanes)

    @property
    def runs_graph(self) -> bool:
        """Whether the last batch was a replay of a CUDA graph."""
        return self._execution.runs_graph

    def submit(self, batch: NDArray[np.float32]) -> Pending:
        """Give a batch to the GPU and return at once; `batch` is copied and belongs to the caller again.

        Raises:
            BackendError: if CUDA or TensorRT fails.
        """
        lane = self._start(batch)
        began = time.perf_counter()
        if self._output is not None:
            self._cuda.download(lane.output, self._output, self._maps_bytes(batch), self._compute)
        lane.done.record(self._compute)
        lane.enqueue_ms += (time.perf_counter() - began) * 1000.0
        lane.pending = Pending(self, lane, self._shape_of(batch))
        return lane.pending

    def submit_on_device(self, batch: NDArray[np.float32]) -> DeviceMap:
        """The same with the maps left on the GPU, in memory of their own that the result owns.

        Raises:
            BackendError: if CUDA or TensorRT fails.
        """
        lane = self._start(batch)
        lane.done.record(self._compute)
        count, _, height, width = batch.shape
        size_bytes = self._maps_bytes(batch)
        buffer = self._cuda.device_buffer(size_bytes, outlives=True)
        try:
            if self._output is not None:
                self._cuda.copy(buffer, self._output, size_bytes, self._compute)
            else:
                self._cuda.upload(buffer, lane.output, size_bytes, self._compute)
            self._compute.synchronize()
        except BaseException:
            self._cuda.release(buffer)
            raise
        return DeviceMap(self._cuda, buffer, (count, 1, height, width), self._engine.tensors.output_type)

    def take_out(self, lane: Lane, shape: Shape) -> Batch:
        """Wait for a lane's maps and copy them to an array of their own."""
        lane.done.synchronize()
        count, _, height, width = shape
        maps = lane.output.view((count, 1, height, width), self._engine.tensors.output_type)
        return np.array(maps, dtype=np.float32)

    def times(self) -> DeviceTimes | None:
        """Of the last batch, once its maps were taken out; None where there was none yet."""
        lane = self._last
        if lane is None or lane.pending is not None:
            return None
        lane.done.synchronize()
        return DeviceTimes(
            upload_ms=0.0 if self._mapped else lane.taken.milliseconds_since(lane.began),
            compute_ms=lane.computed.milliseconds_since(lane.started),
            download_ms=0.0 if self._mapped else lane.done.milliseconds_since(lane.computed),
            enqueue_ms=lane.enqueue_ms,
        )

    def _start(self, batch: NDArray[np.float32]) -> Lane:
        """Put the batch in and enqueue the engine."""
        lane = self._lanes[self._turn]
        self._turn = (self._turn + 1) % len(self._lanes)
        if lane.pending is not None:
            lane.pending.collect()
        lane.taken.synchronize()
        kind = self._engine.tensors.input_type
        lane.input.view(batch.shape, kind)[...] = batch
        began = time.perf_counter()
        self._execution.set_shape(self._shape_of(batch))
        if self._input is None:
            self._execution.bind(lane.input.device_address, lane.output.device_address)
            lane.started.record(self._compute)
        else:
            free = self._consumed or (self._last.computed if self._last is not None else None)
            if free is not None:
                self._uploads.wait(free)
            lane.began.record(self._uploads)
            self._cuda.upload(self._input, lane.input, batch.size * kind.itemsize, self._uploads)
            lane.taken.record(self._uploads)
            self._compute.wait(lane.taken)
            lane.started.record(self._compute)
        self._execution.run()
        lane.computed.record(self._compute)
        if self._input is None:
            lane.taken.record(self._compute)
        lane.enqueue_ms = (time.perf_counter() - began) * 1000.0
        self._last = lane
        return lane

    def _maps_bytes(self, batch: NDArray[np.float32]) -> int:
        return batch.size // 3 * self._engine.tensors.output_type.itemsize

    @staticmethod
    def _shape_of(batch: NDArray[np.float32]) -> Shape:
        count, channels, height, width = batch.shape
        return count, channels, height, width

    def close(self) -> None:
        """Wait for what is in flight, keep its maps for whoever asks for them, and free all the rest."""
        self._compute.synchronize()
        self._uploads.synchronize()
        for lane in self._lanes:
            if lane.pending is not None:
                lane.pending.collect()
        self._execution.close()
        self._owned.close()
