"""An engine file run by TensorRT."""

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from br2net.errors import BackendError, InputError, ModelError
from br2net.runtime.backend import Backend, DeviceTimes, InferenceOptions
from br2net.runtime.cuda import Cuda, open_cuda, parse_device
from br2net.runtime.cuda.device_map import DeviceMap
from br2net.runtime.engine_file import EngineRecord, InputShape, Profile, read_engine, rebuild_command
from br2net.runtime.preprocessing import check_size
from br2net.runtime.tensorrt.engine import Engine
from br2net.runtime.tensorrt.runner import Runner, Submitted
from br2net.types import Batch, Frame, Map


class TensorRTBackend(Backend):
    """Runs an engine on one NVIDIA GPU. Maps are the caller's own; nothing of the GPU is left after `close`.

    As many threads as `options.streams` compute side by side, each in an execution context of its own; more wait.

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
        index = parse_device(options.device)
        with open_cuda(index) as cuda:
            from br2net.runtime.tensorrt.api import library

            plan, record = read_engine(path, library(), cuda.gpu)
            check_options(path, record, options)
            from br2net.runtime.tensorrt.plan import PlanEngine

            with cuda.active():
                engine = PlanEngine(path, plan)
            self._begin(lambda: open_cuda(index), engine, record, options, graphs)

    @classmethod
    def of_parts(
        cls,
        new_cuda: Callable[[], Cuda],
        engine: Engine,
        record: EngineRecord,
        options: InferenceOptions,
        *,
        graphs: bool = True,
    ) -> "TensorRTBackend":
        """A backend of an engine that is loaded already; it owns every `Cuda` that `new_cuda` gives."""
        backend = cls.__new__(cls)
        check_options(Path(record.onnx_name), record, options)
        backend._begin(new_cuda, engine, record, options, graphs)
        return backend

    def _begin(
        self,
        new_cuda: Callable[[], Cuda],
        engine: Engine,
        record: EngineRecord,
        options: InferenceOptions,
        graphs: bool,
    ) -> None:
        self.metadata = record.model
        self.precision = record.model.precision
        self.width, self.height = choose_size(record.profile, options.size)
        self.concurrency, self.threads = options.streams, options.threads
        self._smallest, self._largest = record.profile.smallest.batch, record.profile.largest.batch
        self._runners: list[Runner] = []
        self._idle: SimpleQueue[Runner] = SimpleQueue()
        self._last: Runner | None = None
        self._closed = False
        largest = (self._largest, 3, self.height, self.width)
        try:
            for _ in range(options.streams):
                cuda = new_cuda()
                self.device = cuda.gpu.name
                try:
                    self._runners.append(Runner(cuda, engine, largest, graphs=graphs))
                except BaseException:
                    cuda.close()
                    raise
                self._idle.put(self._runners[-1])
        except BaseException:
            self.close()
            raise

    @property
    def contexts(self) -> int:
        """Execution contexts that are there: one for each stream, and a second once two batches were in flight in it."""
        return sum(len(runner.slots) for runner in self._runners)

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
        runner = self._take()
        try:
            return runner.submit(self._filled(batch), len(batch))
        finally:
            self._idle.put(runner)

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
        runner = self._take()
        try:
            return runner.submit_on_device(batch)
        finally:
            self._idle.put(runner)

    def _run(self, batch: Batch) -> Batch:
        runner = self._take()
        try:
            with runner.turn():
                waiting: deque[Submitted] = deque()
                for start in range(0, len(batch), self._largest):
                    part = batch[start : start + self._largest]
                    waiting.append(runner.submit(self._filled(part), len(part)))
                maps = [item.result() for item in waiting]
        finally:
            self._idle.put(runner)
        return maps[0] if len(maps) == 1 else np.concatenate(maps)

    def detect(self, frames: Sequence[Frame]) -> list[Map]:
        """Blur maps of frames; where the CUDA kernels are installed, resized and normalised on the GPU."""
        if not frames:
            return super().detect(frames)  # which refuses it
        runner = self._take()
        try:
            maps = runner.detect(frames, self._smallest, self.metadata.normalisation)
        finally:
            self._idle.put(runner)
        return super().detect(frames) if maps is None else maps

    def device_times(self) -> DeviceTimes | None:
        """Of the last batch that was run, by CUDA events. Nothing is uploaded or downloaded on an integrated GPU."""
        return None if self._closed or self._last is None else self._last.times()

    def _take(self) -> Runner:
        """An idle runner; waits for one."""
        if self._closed:
            raise BackendError("The model is closed; load it again.")
        self._last = self._idle.get()
        if self._closed:  # meanwhile, by another thread
            self._idle.put(self._last)
            raise BackendError("The model is closed; load it again.")
        return self._last

    def _filled(self, batch: Batch) -> Batch:
        """The batch with its last image repeated up to the smallest number that the engine takes."""
        missing = self._smallest - len(batch)
        return np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)]) if missing > 0 else batch

    def close(self) -> None:
        """Wait for what is in flight and free all of it; a second time does no harm.

        Raises:
            CudaError: if another thread uses the GPU's context of this backend and not through it.
        """
        while self._runners:
            self._runners[-1].close()
            self._runners.pop()
        self._closed = True


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
