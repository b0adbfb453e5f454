"""An engine file run by TensorRT."""

import logging
from collections import deque
from pathlib import Path

import numpy as np

from br2net.errors import BackendError, InputError, ModelError
from br2net.runtime.backend import Backend, Batch, InferenceOptions
from br2net.runtime.cuda import Cuda, CudaError, OutOfMemoryError, open_cuda, parse_device
from br2net.runtime.cuda.device_map import DeviceMap
from br2net.runtime.engine_file import EngineRecord, InputShape, Profile, read_engine, rebuild_command
from br2net.runtime.preprocessing import check_size
from br2net.runtime.tensorrt.engine import Engine
from br2net.runtime.tensorrt.slot import Pending, Slot

_log = logging.getLogger(__name__)
CONTEXTS = 2  # execution contexts of one engine at most; the second is made when the first is busy


class Submitted:
    """A batch that the GPU works on, of one `TensorRTBackend`."""

    def __init__(self, cuda: Cuda, pending: Pending, count: int) -> None:
        self._cuda, self._pending, self._count = cuda, pending, count

    def result(self) -> Batch:
        """Wait for the maps: float32 `(N, 1, height, width)`, owned by the caller.

        Raises:
            BackendError: if CUDA fails meanwhile.
        """
        with self._cuda.active():
            return self._pending.collect()[: self._count]


class TensorRTBackend(Backend):
    """Runs an engine on one NVIDIA GPU. Maps are the caller's own; nothing of the GPU is left after `close`.

    Its owner is whichever thread is inside a call, one at a time; a second one is refused.

    Args:
        path: `x.engine`, with `x.engine.json` beside it.
        options: `device` is `auto`, `cuda` or `cuda:1`; `precision` and `size` must be the engine's.
        graphs: replay CUDA graphs, where cuda-python is installed.

    Raises:
        ModelError: if the file is damaged, or for another TensorRT or GPU; the sentence has the command that mends it.
        InputError: if an option is not possible with this engine.
        MissingDependencyError: if TensorRT or pycuda is not installed.
        BackendError: if there is no GPU, or not enough of its memory.
    """

    name = "tensorrt"

    def __init__(self, path: Path, options: InferenceOptions, *, graphs: bool = True) -> None:
        cuda = open_cuda(parse_device(options.device))
        try:
            from br2net.runtime.tensorrt.api import library

            plan, record = read_engine(path, library(), cuda.gpu)
            check_options(path, record, options)
            from br2net.runtime.tensorrt.plan import PlanEngine

            with cuda.active():
                self._begin(cuda, PlanEngine(path, plan), record, options, graphs)
        except BaseException:
            cuda.close()
            raise

    @classmethod
    def of_parts(
        cls, cuda: Cuda, engine: Engine, record: EngineRecord, options: InferenceOptions, *, graphs: bool = True
    ) -> "TensorRTBackend":
        """A backend of an engine that is loaded already. It owns `cuda` from here on."""
        backend = cls.__new__(cls)
        check_options(Path(record.onnx_name), record, options)
        with cuda.active():
            backend._begin(cuda, engine, record, options, graphs)
        return backend

    def _begin(self, cuda: Cuda, engine: Engine, record: EngineRecord, options: InferenceOptions, graphs: bool) -> None:
        self.metadata = record.model
        self.device = cuda.gpu.name
        self.precision = record.model.precision
        self.width, self.height = choose_size(record.profile, options.size)
        self._smallest, self._largest = record.profile.smallest.batch, record.profile.largest.batch
        self._cuda, self._graphs, self._contexts = cuda, graphs, CONTEXTS
        self._engine: Engine | None = engine
        self._slots: deque[Slot] = deque()
        self._slots.append(self._new_slot(engine))

    def _new_slot(self, engine: Engine) -> Slot:
        return Slot(self._cuda, engine, (self._largest, 3, self.height, self.width), graphs=self._graphs)

    @property
    def contexts(self) -> int:
        """Execution contexts that are there: one, and a second once two batches were in flight."""
        return len(self._slots)

    @property
    def largest_batch(self) -> int:
        """How many images one `submit` takes."""
        return self._largest

    def submit(self, batch: Batch) -> Submitted:
        """Begin a batch of at most `largest_batch` images and return before it is done; `batch` may be reused at once.

        The next one may be submitted before the first result is asked for, so that it is copied while the first is
        computed. Results may be asked for in any order, and are never lost.

        Raises:
            InputError: if the batch has another shape or type.
            BackendError: if CUDA or TensorRT fails, or the backend was closed.
        """
        self.check_batch(batch)
        if len(batch) > self._largest:
            raise InputError(f"A batch of {len(batch)} does not fit this engine; it takes up to {self._largest}.")
        with self._cuda.active():
            return Submitted(self._cuda, self._free_slot().submit(self._filled(batch)), len(batch))

    def infer_on_device(self, batch: Batch) -> DeviceMap:
        """Compute maps and leave them on the GPU.

        Raises:
            InputError: if the batch has another shape or type, or is smaller or larger than the engine takes.
            BackendError: if CUDA or TensorRT fails, or the backend was closed.
        """
        self.check_batch(batch)
        if not self._smallest <= len(batch) <= self._largest:
            raise InputError(
                f"A batch of {len(batch)} does not fit this engine; it takes {self._smallest} to {self._largest}."
            )
        with self._cuda.active():
            return self._free_slot().submit_on_device(batch)

    def _run(self, batch: Batch) -> Batch:
        starts = range(0, len(batch), self._largest)
        parts = [batch[start : start + self._largest] for start in starts]
        with self._cuda.active():
            waiting: deque[tuple[Pending, int]] = deque()
            maps: list[Batch] = []
            for part in parts:
                waiting.append((self._free_slot().submit(self._filled(part)), len(part)))
            for pending, count in waiting:
                maps.append(pending.collect()[:count])
        return maps[0] if len(maps) == 1 else np.concatenate(maps)

    def _free_slot(self) -> Slot:
        """A slot for the next batch: an idle one, else one more, else the one whose turn it is."""
        if self._engine is None:
            raise BackendError("The model is closed; load it again.")
        for slot in self._slots:
            if slot.is_idle:
                return slot
        if len(self._slots) < self._contexts:
            try:
                self._slots.append(self._new_slot(self._engine))
                return self._slots[-1]
            except OutOfMemoryError as error:
                _log.warning("There is no memory for a second execution context; one goes on alone (%s)", error)
                self._contexts = 1
        self._slots.rotate(-1)
        return self._slots[-1]

    def _filled(self, batch: Batch) -> Batch:
        """The batch with its last image repeated up to the smallest number that the engine takes."""
        missing = self._smallest - len(batch)
        return np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)]) if missing > 0 else batch

    def close(self) -> None:
        """Wait for what is in flight and free all of it; a second time does no harm.

        Raises:
            CudaError: if another thread is using it.
        """
        if self._engine is None:
            return
        try:
            with self._cuda.active():
                while self._slots:
                    self._slots.pop().close()
                self._engine = None
        except CudaError as error:
            if not error.sticky:  # as where another thread is using it
                raise
            self._slots.clear()
            self._engine = None
        self._cuda.close()


def check_options(path: Path, record: EngineRecord, options: InferenceOptions) -> None:
    """Refuse what an engine cannot do.

    Raises:
        InputError: if so; the sentence has the command that builds another.
        ModelError: if its weights were stripped.
    """
    precision = record.model.precision
    if options.precision not in ("auto", precision):
        raise InputError(
            f"{path} computes in {precision}, not in {options.precision}; an engine's precision is that of its ONNX."
        )
    if record.stripped:
        raise ModelError(
            f"{path} has no weights yet; fill them in with `br2net build {record.onnx_name} --refit {path} -o "
            f"{path.with_stem(path.stem + '-filled')}`."
        )
    width, height = choose_size(record.profile, options.size)
    check_size(width, height)
    shape = InputShape(record.profile.typical.batch, width, height)
    if not record.profile.contains(shape):
        raise InputError(
            f"{path} takes {record.profile}, not {width}x{height}; run "
            f"`{rebuild_command(path, record)} --size {width}x{height}`."
        )


def choose_size(profile: Profile, wanted: tuple[int, int] | None) -> tuple[int, int]:
    """Width and height to run at: as wanted, or what the engine is fastest at."""
    return wanted or (profile.typical.width, profile.typical.height)
