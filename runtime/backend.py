"""The one road from frames to maps: a backend gives requests, and each takes a batch through prepare, run and finish."""

import logging
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from br2net.errors import BackendError, InputError, OutOfMemoryError
from br2net.log import warn_once
from br2net.runtime.metadata import ModelMetadata
from br2net.runtime.postprocessing import DEFAULT_OPACITY, Outputs, Wanted, postprocess
from br2net.runtime.preprocessing import preprocess
from br2net.types import Batch, Closing, Frame, PixelFormat

PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")
LARGEST_BATCH = 8  # of a model that takes any number of images: more gain nothing on a CPU
KEPT_BATCH_SIZES = 4  # batch sizes whose idle requests are kept
_log = logging.getLogger(__name__)
CLOSED = "The model is closed; load it again."


@dataclass(frozen=True)
class InferenceOptions:
    """User options of a backend.

    Attributes:
        device: `auto`, or the backend's name of a device (`cpu`, `gpu`, `cuda`, …).
        precision: `auto` for what the device does best with this file, or `fp32`, `bf16`, `fp16`.
        size: input `(width, height)` in pixels; None for the file's default.
        threads: CPU threads; 0 for all.
        streams: batches to compute in parallel, where the backend can: higher throughput at a higher latency.

    Raises:
        InputError: if a value is out of range.
    """

    device: str = "auto"
    precision: str = "auto"
    size: tuple[int, int] | None = None
    threads: int = 0
    streams: int = 1

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise InputError(f"Unknown precision {self.precision!r}; choose one of: {', '.join(PRECISIONS)}.")
        if self.threads < 0:
            raise InputError(f"threads must be 0 (all) or more, got {self.threads}.")
        if self.streams < 1:
            raise InputError(f"streams must be at least 1, got {self.streams}.")


@dataclass(frozen=True)
class DeviceTimes:
    """Milliseconds of one batch on a device with its own clock (CUDA events), and of the CPU's part in it.

    Attributes:
        upload_ms, compute_ms, download_ms: copy to the device, kernels and network, copy back.
        enqueue_ms: CPU time to enqueue all of that.
    """

    upload_ms: float
    compute_ms: float
    download_ms: float
    enqueue_ms: float


class Request(ABC):
    """One batch in flight, with all the buffers that it needs.

    Call `prepare`, `run` and `finish` in this order, each from any one thread, as often as needed; then `release` it (or
    leave its `with` block), which returns it to the backend's pool.

    Attributes:
        batch: number of frames that it takes at most.

    Example:
        >>> with backend.request() as request:
        ...     request.prepare([frame])
        ...     request.run()
        ...     (outputs,) = request.finish(Wanted.MAP | Wanted.FRACTION)
    """

    batch: int

    def __init__(self, backend: "Backend", batch: int) -> None:
        self._backend = backend
        self.batch = batch

    @abstractmethod
    def prepare(self, frames: Sequence[Frame], pixels: PixelFormat = PixelFormat.BGR) -> None:
        """Resize and normalise frames into the input tensor.

        Args:
            frames: 1 to `batch` frames, uint8 in the layout `pixels`, of any sizes. They must not change before `finish`
                returns.
            pixels: pixel format of all frames.

        Raises:
            InputError: if there are no frames or too many, or one does not have this layout.
        """

    @abstractmethod
    def run(self) -> None:
        """Start inference. On a CPU it is complete when this returns; on a GPU it is enqueued.

        Raises:
            BackendError: if the engine fails.
        """

    @abstractmethod
    def finish(self, wanted: Wanted = Wanted.MAP, *, opacity: float = DEFAULT_OPACITY) -> list[Outputs]:
        """Wait for the maps and return the wanted outputs, one `Outputs` for each frame.

        Args:
            wanted: outputs to compute; an overlay needs BGR frames.
            opacity: opacity of the overlay's tint where the map is 1; 0..1.

        Raises:
            BackendError: if the engine fails.
            InputError: if the backend cannot give one of these outputs.
        """

    def device_times(self) -> DeviceTimes | None:
        """Return the device's times of the last finished batch; None for a backend without a device clock."""
        return None

    def close(self) -> None:  # noqa: B027  # most requests hold memory only
        """Free what the request holds. Called by the backend."""

    def release(self) -> None:
        """Return the request to the backend's pool."""
        self._backend._take_back(self)

    def __enter__(self) -> "Request":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _check_frames(self, frames: Sequence[Frame]) -> None:
        if not 1 <= len(frames) <= self.batch:
            raise InputError(f"A request takes 1 to {self.batch} frames, got {len(frames)}.")


class HostRequest(Request):
    """A request whose tensors are in CPU memory.

    Args:
        backend: owner.
        batch: number of frames.
        infer: runs the model on the input tensor, float32 `(batch, 3, h, w)`, and returns its maps, float32
            `(batch, 1, h, w)`, valid until it is called again.
        tensor: input tensor to fill; None for a new one.
    """

    def __init__(
        self, backend: "Backend", batch: int, infer: Callable[[Batch], Batch], tensor: Batch | None = None
    ) -> None:
        super().__init__(backend, batch)
        self._infer = infer
        shape = (batch, 3, backend.height, backend.width)
        self._input: Batch = np.zeros(shape, np.float32) if tensor is None else tensor
        self._maps: Batch = self._input[:0]
        self._frames: list[Frame] = []
        self._pixels = PixelFormat.BGR

    def prepare(self, frames: Sequence[Frame], pixels: PixelFormat = PixelFormat.BGR) -> None:
        """Resize and normalise frames on the CPU."""
        self._check_frames(frames)
        backend = self._backend
        self._frames, self._pixels = list(frames), pixels
        preprocess(
            frames,
            backend.width,
            backend.height,
            backend.metadata.normalisation,
            pixels=pixels,
            threads=backend.threads,
            out=self._input[: len(frames)],
        )
        self._input[len(frames) :] = self._input[len(frames) - 1]

    def run(self) -> None:
        """Run the model."""
        self._maps = self._infer(self._input)

    def finish(self, wanted: Wanted = Wanted.MAP, *, opacity: float = DEFAULT_OPACITY) -> list[Outputs]:
        """Postprocess on the CPU."""
        if Wanted.DEVICE_MAP in wanted:
            raise InputError(
                f"The backend {self._backend.name} keeps no maps in GPU memory; use an engine made by `br2net build`."
            )
        if Wanted.OVERLAY in wanted and self._pixels is not PixelFormat.BGR:
            raise InputError(f"An overlay needs BGR frames, got {self._pixels.name}.")
        frames, threads = self._frames, self._backend.threads
        self._frames = []
        return [
            postprocess(blur, frame, self._pixels.size_of(frame), wanted, opacity=opacity, threads=threads)
            for blur, frame in zip(self._maps[:, 0], frames, strict=False)
        ]


class Backend(Closing):
    """A loaded model. It owns its requests; `close` frees everything.

    Attributes:
        name: name of the backend, for example `openvino`.
        device: device that it runs on, for example `CPU`.
        precision: precision in force, not merely the one asked for.
        metadata: metadata of the model.
        width, height: size of the network input, pixels.
        threads: CPU threads for pre- and postprocessing; 0 means all.
        fixed_batch: batch size that the model is fixed to; None where it takes any.
        concurrency: number of threads that can usefully call `run` at the same time.
        depth: number of requests that one thread keeps in flight to hide copies; 1 where `run` blocks.
        max_requests: number of requests of one batch size in existence; `request` waits for a free one.
    """

    name: str
    device: str
    precision: str
    metadata: ModelMetadata
    width: int
    height: int
    threads: int = 0
    fixed_batch: int | None = None
    concurrency: int = 1
    depth: int = 1
    max_requests: int = 8

    def __init__(self) -> None:
        self._idle: dict[int, list[Request]] = {}  # by batch size, the latest used last
        self._in_use: set[Request] = set()
        self._closed = False
        self._changed = threading.Condition()

    @property
    def largest_batch(self) -> int:
        """Number of frames that one request takes at most."""
        return self.fixed_batch or LARGEST_BATCH

    def batch_size(self, frames: int) -> int:
        """Return the batch size that `frames` frames are computed in; the rest of the batch is padded.

        Raises:
            InputError: if one request cannot take that many.
        """
        if not 1 <= frames <= self.largest_batch:
            raise InputError(f"A request takes 1 to {self.largest_batch} frames, got {frames}.")
        return self.fixed_batch or frames

    def request(self, frames: int = 1) -> Request:
        """Return an idle request for up to `frames` frames; wait for one if no other can be made.

        Raises:
            InputError: if one request cannot take that many frames.
            BackendError: if the backend is closed, or has no memory for a first request.
        """
        with self._changed:
            while (request := self.try_request(frames)) is None:
                self._changed.wait()
            return request

    def try_request(self, frames: int = 1) -> Request | None:
        """Return an idle or a new request, as `request` does, and None instead of waiting."""
        batch = self.batch_size(frames)
        with self._changed:
            if self._closed:
                raise BackendError(CLOSED)
            idle = self._idle.pop(batch, [])
            self._idle[batch] = idle
            in_use = sum(request.batch == batch for request in self._in_use)
            if not idle and in_use < self.max_requests:
                self._forget_sizes()
                try:
                    idle.append(self._new_request(batch))
                except OutOfMemoryError as error:
                    if not in_use:
                        raise
                    self.max_requests = in_use
                    warn_once(
                        _log, f"There is no memory for {in_use + 1} batches in flight, only for {in_use} ({error})"
                    )
            if not idle:
                return None
            self._in_use.add(idle[-1])
            return idle.pop()

    @abstractmethod
    def _new_request(self, batch: int) -> Request:
        """Make another request."""

    def _forget_size(self, batch: int) -> None:  # most backends keep nothing for a batch size
        """Free what is kept for a batch size; no request of it is left."""

    def _free(self) -> None:  # a backend may have nothing but its requests
        """Free the model; called once, when the backend is closed and no request is in use any more."""

    def _take_back(self, request: Request) -> None:
        with self._changed:
            if request not in self._in_use:
                return
            self._in_use.remove(request)
            if self._closed:
                request.close()
                self._free_unused()
            else:
                self._idle.setdefault(request.batch, []).append(request)
            self._changed.notify_all()

    def _forget_sizes(self) -> None:
        """Close the least recently used batch sizes beyond `KEPT_BATCH_SIZES` that have no request in use."""
        in_use = {request.batch for request in self._in_use}
        for batch in [size for size, idle in self._idle.items() if idle and size not in in_use]:
            if len(in_use | {size for size, idle in self._idle.items() if idle}) < KEPT_BATCH_SIZES:
                break
            for request in self._idle.pop(batch):
                request.close()
            self._forget_size(batch)

    def close(self) -> None:
        """Free the model and all requests; requests in use, and the model with them, when they are released. Idempotent."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            for requests in self._idle.values():
                for request in requests:
                    request.close()
            self._idle.clear()
            self._free_unused()
            self._changed.notify_all()

    def _free_unused(self) -> None:
        if not self._in_use:
            self._free()


def detect(
    backend: Backend,
    frames: Sequence[Frame],
    wanted: Wanted = Wanted.MAP,
    *,
    pixels: PixelFormat = PixelFormat.BGR,
    opacity: float = DEFAULT_OPACITY,
) -> list[Outputs]:
    """Compute the wanted outputs of any number of frames, in batches, with `backend.depth` of them in flight.

    Args:
        backend: loaded model.
        frames: uint8 frames in the layout `pixels`, of any sizes.
        wanted: outputs to compute.
        pixels: pixel format of all frames.
        opacity: opacity of the overlay's tint where the map is 1; 0..1.

    Raises:
        InputError: if a frame does not have this layout, or an output is not possible.
        BackendError: if the engine fails.
    """
    results: list[Outputs] = []
    in_flight: deque[Request] = deque()

    def finish_oldest() -> None:
        with in_flight.popleft() as oldest:
            results.extend(oldest.finish(wanted, opacity=opacity))

    def next_request(size: int) -> Request:
        while in_flight:  # never wait for a request while holding one
            if (request := backend.try_request(size)) is not None:
                return request
            finish_oldest()
        return backend.request(size)

    try:
        for start in range(0, len(frames), backend.largest_batch):
            part = frames[start : start + backend.largest_batch]
            if len(in_flight) == backend.depth:
                finish_oldest()
            request = next_request(len(part))
            in_flight.append(request)
            request.prepare(part, pixels)
            request.run()
        while in_flight:
            finish_oldest()
    finally:
        for request in in_flight:
            request.release()
    return results
