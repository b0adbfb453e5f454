"""An engine file run by TensorRT."""

import atexit
import functools
import logging
import weakref
from contextlib import ExitStack, suppress
from pathlib import Path

from br2net.errors import BackendError, CudaError, InputError, ModelError
from br2net.log import warn_once
from br2net.runtime.backend import Backend, InferenceOptions
from br2net.runtime.cuda import Cuda, open_cuda, parse_device
from br2net.runtime.cuda.interface import Module
from br2net.runtime.engine_file import TENSORRT, EngineRecord, InputShape, Profile, read_engine, rebuild_command
from br2net.runtime.native.cuda_kernels import load_kernels
from br2net.runtime.preprocessing import check_size
from br2net.runtime.tensorrt.engine import Engine
from br2net.runtime.tensorrt.request import TensorRTRequest

DEPTH = 3  # one batch on its way in, one in the engine, one on its way out
_log = logging.getLogger(__name__)
_open: "weakref.WeakSet[TensorRTBackend]" = weakref.WeakSet()


class TensorRTBackend(Backend):
    """Runs an engine on one NVIDIA GPU. Nothing is left on the GPU after `close`, except maps that were asked for there.

    Args:
        cuda: GPU; the backend owns it from here on.
        engine: deserialised engine.
        record: sidecar of the engine.
        options: options that `check_options` accepts.
        graphs: replay CUDA graphs, where cuda-python is installed.
    """

    name = "tensorrt"
    depth = DEPTH

    def __init__(
        self, cuda: Cuda, engine: Engine, record: EngineRecord, options: InferenceOptions, *, graphs: bool = True
    ) -> None:
        super().__init__()
        profile = record.profile
        self.metadata, self.precision = record.model, record.model.precision
        self.device, self.threads = cuda.gpu.name, options.threads
        self.width, self.height = choose_size(profile, options.size)
        self.concurrency = options.streams
        self.max_requests = DEPTH * options.streams
        self._batches = sorted({profile.smallest.batch, profile.typical.batch, profile.largest.batch})
        self.fixed_batch = self._batches[0] if len(self._batches) == 1 else None
        self._cuda, self._engine, self._graphs = cuda, engine, graphs
        self._module = _load_kernels(cuda)

    @classmethod
    def load(cls, path: Path, options: InferenceOptions, *, graphs: bool = True) -> "TensorRTBackend":
        """Load an engine file and make the first request.

        Args:
            path: `x.engine`, with `x.engine.json` beside it.
            options: `device` is `auto`, `cuda` or `cuda:1`; `precision` and `size` must be the engine's.
            graphs: replay CUDA graphs, where cuda-python is installed; TensorRT for RTX never does.

        Raises:
            ModelError: if the file is damaged, or for another TensorRT or GPU; the sentence has the command that helps.
            InputError: if an option is not possible with this engine.
            MissingDependencyError: if TensorRT or pycuda is not installed.
            BackendError: if there is no GPU, or not enough of its memory.
        """
        with ExitStack() as unfinished:
            cuda = unfinished.enter_context(open_cuda(parse_device(options.device)))
            from br2net.runtime.tensorrt.api import library

            plan, record = read_engine(path, library(), cuda.gpu)
            check_options(path, record, options)
            from br2net.runtime.tensorrt.plan import PlanEngine

            with cuda.active():
                engine = PlanEngine(path, plan, version_compatible=record.version_compatible)
            graphs = graphs and record.library.flavour == TENSORRT
            backend = cls(cuda, engine, record, options, graphs=graphs)
            unfinished.callback(backend.close)
            backend.request().release()
            _close_at_exit()
            _open.add(backend)
            unfinished.pop_all()
        return backend

    @property
    def largest_batch(self) -> int:
        """Number of frames that one request takes at most."""
        return self._batches[-1]

    def batch_size(self, frames: int) -> int:
        """Return the smallest of the profile's batch sizes that takes `frames` frames."""
        super().batch_size(frames)
        return next(size for size in self._batches if size >= frames)

    def _new_request(self, batch: int) -> TensorRTRequest:
        return TensorRTRequest(self, batch, self._cuda, self._engine, self._module, graphs=self._graphs)

    def _free(self) -> None:
        with suppress(CudaError), self._cuda.active():  # a lost context has nothing left to free
            if self._module is not None:
                self._module.close()
            del self._engine
        self._cuda.close()


def _load_kernels(cuda: Cuda) -> Module | None:
    """Load the CUDA kernels; warn once and return None where that is not possible."""
    try:
        with cuda.active():
            return load_kernels(cuda)
    except BackendError as error:
        if isinstance(error, CudaError) and error.sticky:
            raise
        warn_once(_log, f"Frames are resized by the CPU and not on the GPU: {error}")
        return None


@functools.cache
def _close_at_exit() -> None:
    """Free TensorRT's objects before the GPU's context, whose own end was registered earlier and so comes later."""

    @atexit.register
    def close_open() -> None:
        for backend in list(_open):
            backend.close()


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
    """Return the width and height to run at: those wanted, or those that the engine is fastest at."""
    return wanted or (profile.typical.width, profile.typical.height)
