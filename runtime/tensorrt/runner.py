"""What one thread at a time uses of an engine: an owner of the GPU, and up to two execution contexts in turn."""

import functools
import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from br2net.errors import BackendError, CudaError, OutOfMemoryError
from br2net.runtime.backend import DeviceTimes
from br2net.runtime.cuda.device_map import DeviceMap
from br2net.runtime.cuda.interface import Cuda
from br2net.runtime.metadata import Normalisation
from br2net.runtime.native.cuda_kernels import CudaKernels
from br2net.runtime.tensorrt.engine import Engine
from br2net.runtime.tensorrt.execution import Shape
from br2net.runtime.tensorrt.frames import FrameSlot
from br2net.runtime.tensorrt.slot import Pending, Slot
from br2net.types import Batch, Frame, Map

CONTEXTS = 2  # execution contexts at most; the second is made when the first is busy
_log = logging.getLogger(__name__)


class Submitted:
    """A batch that the GPU works on."""

    def __init__(self, runner: "Runner", pending: Pending, count: int) -> None:
        self._runner, self._pending, self._count = runner, pending, count

    def result(self) -> Batch:
        """Wait for the maps: float32 `(N, 1, height, width)`, owned by the caller.

        Raises:
            BackendError: if CUDA fails meanwhile.
        """
        if self._pending.is_collected:
            return self._pending.collect()[: self._count]
        with self._runner.turn():
            return self._pending.collect()[: self._count]


class Runner:
    """Runs batches of up to `largest`. It owns `cuda`; a second thread waits until the first has left `turn`."""

    def __init__(self, cuda: Cuda, engine: Engine, largest: Shape, *, graphs: bool) -> None:
        self._cuda, self._largest, self._graphs = cuda, largest, graphs
        self._engine: Engine | None = engine
        self._guard = threading.RLock()
        self._slots: deque[Slot] = deque()
        self._most = CONTEXTS
        self._last: Slot | FrameSlot | None = None
        self._kernels: CudaKernels | None = None
        self._lacks_kernels = False
        self._frames: FrameSlot | None = None
        with cuda.active():
            self._slots.append(self._new_slot())

    def _new_slot(self) -> Slot:
        if self._engine is None:
            raise BackendError("The model is closed; load it again.")
        return Slot(self._cuda, self._engine, self._largest, graphs=self._graphs)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The execution contexts that are there."""
        return tuple(self._slots)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The block in which this thread uses the runner and owns the GPU's context.

        Raises:
            CudaError: if the context was lost.
        """
        with self._guard, self._cuda.active():
            yield

    def submit(self, batch: Batch, count: int) -> Submitted:
        """Begin a batch, whose first `count` maps are wanted."""
        with self.turn():
            self._last = slot = self._free_slot()
            return Submitted(self, slot.submit(batch), count)

    def submit_on_device(self, batch: Batch) -> DeviceMap:
        """Compute maps and leave them on the GPU."""
        with self.turn():
            self._last = slot = self._free_slot()
            return slot.submit_on_device(batch)

    def detect(self, frames: Sequence[Frame], smallest: int, normalisation: Normalisation) -> list[Map] | None:
        """Maps of frames at their own sizes, with nothing but copies on the CPU; None where there are no CUDA kernels."""
        with self.turn():
            slot = self._frame_slot(normalisation)
            if slot is None:
                return None
            self._last = slot
            most = self._largest[0]
            starts = range(0, len(frames), most)
            return [item for start in starts for item in slot.detect(frames[start : start + most], smallest)]

    def _frame_slot(self, normalisation: Normalisation) -> FrameSlot | None:
        """Made when first asked for. Where it cannot be, that is said once and the CPU prepares frames."""
        if self._frames is None and not self._lacks_kernels and self._engine is not None:
            try:
                self._kernels = self._kernels or CudaKernels(self._cuda)
                self._frames = FrameSlot(
                    self._cuda, self._engine, self._kernels, self._largest, normalisation, graphs=self._graphs
                )
            except BackendError as error:
                if isinstance(error, CudaError) and error.sticky:
                    raise
                self._lacks_kernels = True
                _say_once(f"Frames are resized by the CPU and not on the GPU: {error}")
        return self._frames

    def times(self) -> DeviceTimes | None:
        """Of the last batch, once its maps were taken out."""
        with self.turn():
            return None if self._last is None else self._last.times()

    def _free_slot(self) -> Slot:
        """A slot for the next batch: an idle one, else one more, else the one whose turn it is."""
        for slot in self._slots:
            if slot.is_idle:
                return slot
        if len(self._slots) < self._most:
            try:
                self._slots.append(self._new_slot())
                return self._slots[-1]
            except OutOfMemoryError as error:
                _log.warning("There is no memory for a second execution context; one goes on alone (%s)", error)
                self._most = 1
        self._slots.rotate(-1)
        return self._slots[-1]

    def close(self) -> None:
        """Wait for what is in flight and free everything. The maps of what was submitted can be asked for afterwards.

        Raises:
            CudaError: if a thread is inside `Cuda.active` that is not in its turn.
        """
        with self._guard:
            try:
                with self._cuda.active():
                    while self._slots:
                        self._slots.pop().close()
                    for owned in (self._frames, self._kernels):
                        if owned is not None:
                            owned.close()
                    self._frames = self._kernels = None
                    self._engine = None  # whoever lets go last frees it, inside the context
            except CudaError as error:
                if not error.sticky:
                    raise
                self._slots.clear()
                self._engine = self._frames = self._kernels = None
            self._last = None
            self._cuda.close()


@functools.cache
def _say_once(text: str) -> None:
    _log.warning("%s", text)
