"""One batch in flight on an engine: its stream, buffers, events, execution context and CUDA graph."""

import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import numpy as np
from numpy.typing import NDArray

from br2net.errors import BackendError, CudaError, InputError
from br2net.log import warn_once
from br2net.runtime.backend import Backend, DeviceTimes, Request
from br2net.runtime.cuda import Cuda
from br2net.runtime.cuda.device_map import DeviceMap
from br2net.runtime.cuda.errors import cuda_error
from br2net.runtime.cuda.interface import DeviceBuffer, Graph, HostBuffer, Module, Stream
from br2net.runtime.native.cuda_kernels import CudaKernels, DeviceFrame, DevicePictures
from br2net.runtime.postprocessing import DEFAULT_OPACITY, TINT_BGR, Outputs, Wanted, postprocess
from br2net.runtime.preprocessing import preprocess
from br2net.runtime.tensorrt.engine import INPUT, OUTPUT, Engine
from br2net.types import Closing, Frame, PixelFormat

ALIGNMENT = 256  # bytes, between the parts of a buffer
REMEMBERED = 16  # batches after which a buffer that is more than twice as large as needed shrinks
COUNTED = Wanted.FRACTION | Wanted.HISTOGRAM
COUNTS = 1 + 256  # int64 of each frame: its blurred pixels, then its histogram
PICTURES: tuple[tuple[Wanted, tuple[int, ...], type[np.generic]], ...] = (  # channels and type of each
    (Wanted.MAP, (), np.float32),
    (Wanted.GREY, (), np.uint8),
    (Wanted.OVERLAY, (3,), np.uint8),
)
_log = logging.getLogger(__name__)


class Mark(Enum):
    """Points in time of one batch."""

    PREPARE, UPLOADED, PREPARED = auto(), auto(), auto()
    RUN, COMPUTED = auto(), auto()
    FINISH, POSTPROCESSED, DONE = auto(), auto(), auto()


class StagingBuffer(Closing):
    """Page-locked memory and as much GPU memory. Used inside `cuda.active()`; nothing is in flight when it is resized.

    Args:
        cuda: GPU.
        size_bytes: size to begin with; 0 for nothing.
    """

    def __init__(self, cuda: Cuda, size_bytes: int = 0) -> None:
        self._cuda = cuda
        self._needed: deque[int] = deque(maxlen=REMEMBERED)
        self._pair: tuple[HostBuffer, DeviceBuffer] | None = None
        if size_bytes:
            self.reserve(size_bytes)

    def reserve(self, size_bytes: int) -> None:
        """Grow where `size_bytes` do not fit, and shrink to what the last batches needed if that was much less."""
        self._needed.append(size_bytes)
        most = max(self._needed)
        if self._pair is not None and size_bytes <= self._pair[0].size_bytes <= 2 * most:
            return
        self.close()
        host = self._cuda.host_buffer(most)
        try:
            self._pair = host, self._cuda.device_buffer(most)
        except BaseException:
            host.close()
            raise

    def _both(self) -> tuple[HostBuffer, DeviceBuffer]:
        assert self._pair is not None, "nothing was reserved"
        return self._pair

    @property
    def address(self) -> int:
        """Device address."""
        return self._both()[1].address

    def view(self, shape: tuple[int, ...], dtype: Any = np.uint8) -> NDArray[Any]:
        """Return the first bytes of the page-locked side as an array."""
        return self._both()[0].view(shape, dtype)

    def upload(self, size_bytes: int, stream: Stream) -> None:
        """Copy the first bytes to the GPU."""
        host, device = self._both()
        self._cuda.upload(device, host, size_bytes, stream)

    def download(self, size_bytes: int, stream: Stream) -> None:
        """Copy the first bytes from the GPU."""
        self._cuda.download(*self._both(), size_bytes, stream)

    def close(self) -> None:
        """Free both sides."""
        for buffer in self._pair or ():
            buffer.close()
        self._pair = None


@dataclass(frozen=True)
class Part:
    """One array inside a buffer."""

    start: int
    shape: tuple[int, ...]
    dtype: type[np.generic]

    @property
    def end(self) -> int:
        """Offset of the byte behind it."""
        return self.start + int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize

    def of(self, memory: NDArray[np.uint8]) -> NDArray[Any]:
        """Return it as an array over the buffer's bytes."""
        return memory[self.start : self.end].view(self.dtype).reshape(self.shape)


class Layout:
    """Arrays one behind the other in one buffer."""

    def __init__(self) -> None:
        self.size_bytes = 0

    def add(self, shape: tuple[int, ...], dtype: type[np.generic]) -> Part:
        """Add an array behind the others."""
        part = Part(-(-self.size_bytes // ALIGNMENT) * ALIGNMENT, shape, dtype)
        self.size_bytes = part.end
        return part


class TensorRTRequest(Request):
    """Frames go to the GPU as the camera gave them; resizing, network and postprocessing run there, in one stream.

    Without the CUDA kernels the CPU prepares and postprocesses. The batch is padded with its last frame.

    Args:
        backend: owner.
        batch: number of frames; the engine's profile contains it.
        cuda: GPU of the engine.
        engine: deserialised engine.
        module: CUDA kernels; None to prepare and postprocess on the CPU.
        graphs: replay a CUDA graph, where cuda-python is installed.

    Raises:
        OutOfMemoryError: if the GPU has no memory for it.
        BackendError: if CUDA or TensorRT fails.
    """

    def __init__(
        self, backend: Backend, batch: int, cuda: Cuda, engine: Engine, module: Module | None, *, graphs: bool
    ) -> None:
        super().__init__(backend, batch)
        self._cuda, self._engine = cuda, engine
        self._frames: list[Frame] = []
        self._pixels = PixelFormat.BGR
        self._sources: list[DeviceFrame] = []
        self._is_in_flight = self._is_timed = False
        self._enqueue_ms = 0.0
        self._captures = graphs and cuda.can_capture
        self._graph: Graph | None = None
        self._shape = (batch, 3, backend.height, backend.width)
        count = batch * backend.height * backend.width
        input_bytes, output_bytes = 3 * count * engine.input_type.itemsize, count * engine.output_type.itemsize
        with cuda.active(), ExitStack() as owned:
            own = owned.enter_context
            self._stream = own(cuda.stream())
            self._marks = {mark: own(cuda.event()) for mark in Mark}
            self._kernels: CudaKernels | None = None
            if module is None:
                self._uploads, self._results = (
                    own(StagingBuffer(cuda, input_bytes)),
                    own(StagingBuffer(cuda, output_bytes)),
                )
                self._planes, self._maps = self._uploads.address, self._results.address
            else:
                self._kernels = own(CudaKernels(cuda, module))
                self._uploads, self._results = own(StagingBuffer(cuda)), own(StagingBuffer(cuda))
                self._planes = own(cuda.device_buffer(input_bytes)).address
                self._maps = own(cuda.device_buffer(output_bytes)).address
            self._context = engine.new_context()
            self._must(self._context.set_input_shape(INPUT, self._shape), f"take a batch of {self._shape}")
            for name, address in ((INPUT, self._planes), (OUTPUT, self._maps)):
                self._must(self._context.set_tensor_address(name, address), f"use the buffer of {name}")
            self._owned = owned.pop_all()

    def prepare(self, frames: Sequence[Frame], pixels: PixelFormat = PixelFormat.BGR) -> None:
        """Copy frames to page-locked memory and enqueue upload and preprocess kernel."""
        self._check_frames(frames)
        sizes = [pixels.size_of(frame) for frame in frames]
        if self._is_in_flight:  # a batch that was never finished
            with self._cuda.active():
                self._stream.synchronize()
        self._frames, self._pixels = list(frames), pixels
        self._is_in_flight, self._is_timed, self._enqueue_ms = True, False, 0.0
        if self._kernels is None:
            self._prepare_on_cpu()
            return
        layout = Layout()
        parts = [layout.add(frame.shape, np.uint8) for frame in frames]
        with self._cuda.active():
            self._uploads.reserve(layout.size_bytes)
            memory, address = self._uploads.view((layout.size_bytes,)), self._uploads.address
        for part, frame in zip(parts, frames, strict=True):
            part.of(memory)[...] = frame
        self._sources = [
            _device_frame(address + part.start, size, pixels) for part, size in zip(parts, sizes, strict=True)
        ]
        with self._enqueueing():
            self._mark(Mark.PREPARE)
            self._uploads.upload(layout.size_bytes, self._stream)
            self._mark(Mark.UPLOADED)
            for number in range(self.batch):
                self._preprocess(self._kernels, self._sources[min(number, len(frames) - 1)], number)
            self._mark(Mark.PREPARED)

    def _preprocess(self, kernels: CudaKernels, source: DeviceFrame, number: int) -> None:
        _, channels, height, width = self._shape
        kind, normalisation = self._engine.input_type, self._backend.metadata.normalisation
        planes = self._planes + number * channels * height * width * kind.itemsize
        scale, shift = normalisation.scale, normalisation.shift
        kernels.preprocess(source, planes, width, height, scale, shift, self._stream, half=kind == np.float16)

    def _prepare_on_cpu(self) -> None:
        backend, count = self._backend, len(self._frames)
        with self._cuda.active():
            tensor = self._uploads.view(self._shape, self._engine.input_type)
        tensor[:count] = preprocess(
            self._frames,
            backend.width,
            backend.height,
            backend.metadata.normalisation,
            pixels=self._pixels,
            threads=backend.threads,
        )
        tensor[count:] = tensor[count - 1]
        with self._enqueueing():
            self._mark(Mark.PREPARE)
            self._uploads.upload(tensor.nbytes, self._stream)
            self._mark(Mark.UPLOADED)
            self._mark(Mark.PREPARED)

    def run(self) -> None:
        """Enqueue the engine, or replay its graph, which is captured behind the first run."""
        with self._enqueueing():
            self._mark(Mark.RUN)
            if self._graph is not None:
                self._graph.launch(self._stream)
            else:
                self._enqueue_engine()
            self._mark(Mark.COMPUTED)
            if self._captures and self._graph is None:
                self._capture()

    def _capture(self) -> None:
        self._stream.synchronize()
        try:
            self._graph = self._cuda.capture(self._stream, self._enqueue_engine)
        except BackendError as error:
            if isinstance(error, CudaError) and error.sticky:
                raise
            warn_once(_log, f"This engine cannot be captured in a CUDA graph and runs without one ({error})")
            self._captures = False

    def _enqueue_engine(self) -> None:
        self._must(self._context.execute_async_v3(self._stream.handle), "run the engine")

    def finish(self, wanted: Wanted = Wanted.MAP, *, opacity: float = DEFAULT_OPACITY) -> list[Outputs]:
        """Enqueue postprocess kernel and downloads of the wanted outputs, and wait for them."""
        if Wanted.OVERLAY in wanted and self._pixels is not PixelFormat.BGR:
            raise InputError(f"An overlay needs BGR frames, got {self._pixels.name}.")
        if self._kernels is None:
            outputs = self._finish_on_cpu(wanted, opacity)
        else:
            with self._cuda.active(), ExitStack() as unfinished:
                outputs = self._finish_on_gpu(self._kernels, wanted, opacity, unfinished)
                unfinished.pop_all()
        self._frames, self._sources = [], []
        self._is_in_flight, self._is_timed = False, True
        return outputs

    def _finish_on_gpu(
        self, kernels: CudaKernels, wanted: Wanted, opacity: float, unfinished: ExitStack
    ) -> list[Outputs]:
        layout = Layout()
        sizes = [(source.height, source.width) for source in self._sources]
        counts = [layout.add((COUNTS,), np.int64) for _ in sizes if wanted & COUNTED]
        counts_bytes = layout.size_bytes
        pictures = [
            {name: layout.add(size + channels, dtype) for name, channels, dtype in PICTURES if name in wanted}
            for size in sizes
        ]
        device_maps: list[DeviceMap] = []
        for size in sizes if Wanted.DEVICE_MAP in wanted else ():
            buffer = self._cuda.device_buffer(4 * size[0] * size[1], outlives=True)
            device_maps.append(unfinished.enter_context(DeviceMap(self._cuda, buffer, size)))
        results_bytes = layout.size_bytes
        if results_bytes:
            self._results.reserve(results_bytes)
        start = self._results.address if results_bytes else 0
        with self._enqueueing():
            self._mark(Mark.FINISH)
            if counts:
                self._results.view((counts_bytes,))[...] = 0
                self._results.upload(counts_bytes, self._stream)
            for number, (height, width) in enumerate(sizes):
                to = {name: start + part.start for name, part in pictures[number].items()}
                count = start + counts[number].start if counts else 0
                if results_bytes:
                    places = DevicePictures(
                        width,
                        height,
                        map=to.get(Wanted.MAP, 0),
                        grey=to.get(Wanted.GREY, 0),
                        overlay=to.get(Wanted.OVERLAY, 0),
                        histogram=count + 8 if Wanted.HISTOGRAM in wanted else 0,
                        blurred=count if Wanted.FRACTION in wanted else 0,
                    )
                    self._postprocess(kernels, number, places, opacity)
                if device_maps:
                    places = DevicePictures(width, height, map=device_maps[number].address)
                    self._postprocess(kernels, number, places, opacity)
            self._mark(Mark.POSTPROCESSED)
            if results_bytes:
                self._results.download(results_bytes, self._stream)
            self._mark(Mark.DONE)
        self._marks[Mark.DONE].synchronize()
        memory = self._results.view((results_bytes,)) if results_bytes else np.empty(0, np.uint8)
        outputs: list[Outputs] = []
        for number, (height, width) in enumerate(sizes):
            arrays = {name: part.of(memory).copy() for name, part in pictures[number].items()}
            levels = counts[number].of(memory).copy() if counts else np.zeros(1, np.int64)
            outputs.append(
                Outputs(
                    arrays.get(Wanted.MAP),
                    arrays.get(Wanted.GREY),
                    float(levels[0] / (height * width)) if Wanted.FRACTION in wanted else None,
                    levels[1:] if Wanted.HISTOGRAM in wanted else None,
                    arrays.get(Wanted.OVERLAY),
                    device_maps[number] if device_maps else None,
                )
            )
        return outputs

    def _postprocess(self, kernels: CudaKernels, number: int, pictures: DevicePictures, opacity: float) -> None:
        _, _, height, width = self._shape
        kind = self._engine.output_type
        kernels.postprocess(
            self._maps + number * height * width * kind.itemsize,
            width,
            height,
            pictures,
            self._stream,
            half=kind == np.float16,
            frame=self._sources[number] if pictures.overlay else None,
            opacity=opacity,
            tint_bgr=TINT_BGR,
        )

    def _finish_on_cpu(self, wanted: Wanted, opacity: float) -> list[Outputs]:
        if Wanted.DEVICE_MAP in wanted:
            raise InputError("A map in GPU memory needs the CUDA kernels; `br2net doctor` says why there are none.")
        count, _, height, width = self._shape
        kind, threads = self._engine.output_type, self._backend.threads
        with self._cuda.active():
            with self._enqueueing():
                self._mark(Mark.FINISH)
                self._mark(Mark.POSTPROCESSED)
                self._results.download(count * height * width * kind.itemsize, self._stream)
                self._mark(Mark.DONE)
            self._marks[Mark.DONE].synchronize()
            maps = self._results.view((count, height, width), kind).astype(np.float32)
        return [
            postprocess(blur, frame, self._pixels.size_of(frame), wanted, opacity=opacity, threads=threads)
            for blur, frame in zip(maps, self._frames, strict=False)
        ]

    def device_times(self) -> DeviceTimes | None:
        """Return the times of the last finished batch, by CUDA events; the kernels count as compute."""
        if not self._is_timed:
            return None
        with self._cuda.active():
            return DeviceTimes(
                upload_ms=self._between(Mark.PREPARE, Mark.UPLOADED),
                compute_ms=self._between(Mark.UPLOADED, Mark.PREPARED)
                + self._between(Mark.RUN, Mark.COMPUTED)
                + self._between(Mark.FINISH, Mark.POSTPROCESSED),
                download_ms=self._between(Mark.POSTPROCESSED, Mark.DONE),
                enqueue_ms=self._enqueue_ms,
            )

    def _between(self, earlier: Mark, later: Mark) -> float:
        return self._marks[later].milliseconds_since(self._marks[earlier])

    def close(self) -> None:
        """Wait for what is in flight and free everything. A context that was lost or closed has nothing left to free."""
        with suppress(CudaError), self._cuda.active():
            self._stream.synchronize()
            if self._graph is not None:
                self._graph.close()
            self._graph = None
            del self._context
            self._owned.close()

    @contextmanager
    def _enqueueing(self) -> Iterator[None]:
        """Enter the GPU's context and add the time that the CPU spends inside."""
        began = time.perf_counter()
        with self._cuda.active():
            yield
        self._enqueue_ms += (time.perf_counter() - began) * 1000.0

    def _mark(self, mark: Mark) -> None:
        self._marks[mark].record(self._stream)

    def _must(self, done: bool, what: str) -> None:
        """Raise what TensorRT logged where it reports a failure."""
        if not done:
            logged = self._engine.log()
            failure = cuda_error(logged, "running the engine")
            if failure.sticky or "memory" in logged.lower():
                raise failure
            raise BackendError(f"TensorRT cannot {what}: {logged or 'no reason given'}.")


def _device_frame(address: int, size: tuple[int, int], pixels: PixelFormat) -> DeviceFrame:
    """Describe a frame in GPU memory whose rows follow each other without a gap."""
    width, height = size
    if pixels is PixelFormat.NV12:
        return DeviceFrame(address, width, width, height, pixels, address + width * height, width)
    return DeviceFrame(address, width * (3 if pixels is PixelFormat.BGR else 2), width, height, pixels)
