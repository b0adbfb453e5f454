"""The interface of an inference backend, and what a user can ask of one."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from br2net.errors import InputError
from br2net.runtime.metadata import ModelMetadata
from br2net.runtime.postprocessing import to_frame_size
from br2net.runtime.preprocessing import preprocess

if TYPE_CHECKING:
    from br2net.runtime.cuda.device_map import DeviceMap

Batch = NDArray[np.float32]
Frame = NDArray[np.uint8]
Map = NDArray[np.float32]
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")


@dataclass(frozen=True)
class InferenceOptions:
    """What a user asks of a backend.

    Attributes:
        device: `auto`, or a device by the backend's own name (`cpu`, `gpu`, `cuda`, …).
        precision: `auto` for what the device does best with this file, or `fp32`, `bf16`, `fp16`.
        size: input `(width, height)` in pixels; None for the file's default.
        threads: CPU threads; 0 for all.
        streams: batches to compute side by side, where the backend can: more frames a second, each takes longer.

    Raises:
        InputError: if the precision or the number of threads is not possible anywhere.
    """

    device: str = "auto"
    precision: str = "auto"
    size: tuple[int, int] | None = None
    threads: int = 0
    streams: int = 1

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise InputError(f"There is no precision {self.precision}; there are {', '.join(PRECISIONS)}.")
        if self.threads < 0:
            raise InputError(f"{self.threads} threads are not possible; 0 means all.")
        if self.streams < 1:
            raise InputError(f"{self.streams} streams are not possible; there is at least 1.")


@dataclass(frozen=True)
class DeviceTimes:
    """Milliseconds of one inference by the clock of a device of its own (CUDA events), and of the CPU's part in it.

    Attributes:
        upload_ms, compute_ms, download_ms: copy to the device, the network, copy back.
        enqueue_ms: CPU time to give all of that to the device.
    """

    upload_ms: float
    compute_ms: float
    download_ms: float
    enqueue_ms: float


class Backend(ABC):
    """A model that is loaded and ready. `concurrency` threads at a time may use it; `close` frees what it holds.

    Attributes:
        name: of the backend, as `openvino`.
        device: where it runs, as `CPU`.
        precision: what it computes in, as it is in force and not merely as asked.
        metadata: what the model says of itself.
        width, height: of its input, pixels.
        concurrency: how many threads may call `infer` at the same time.
        threads: of the CPU, as asked, for what is done before and after it, too; 0 for all.
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

    def infer(self, batch: Batch) -> Batch:
        """Compute blur maps.

        Args:
            batch: float32 `(N, 3, height, width)`, RGB, normalised by the model's own normalisation. A model of a
                fixed batch size is run as often as needed.

        Returns:
            float32 `(N, 1, height, width)`, 0..1, 1 = blurred. The array belongs to the caller.

        Raises:
            InputError: if the batch has another shape or type.
            BackendError: if the engine underneath fails, or was closed.
        """
        self.check_batch(batch)
        if self.fixed_batch is None or len(batch) == self.fixed_batch:
            return self._run(batch)
        count = self.fixed_batch
        parts = []
        for start in range(0, len(batch), count):
            part = batch[start : start + count]
            missing = count - len(part)
            filled = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part
            parts.append(self._run(filled)[: len(part)])
        return np.concatenate(parts)

    def check_batch(self, batch: Batch) -> None:
        """Refuse what is not float32 `(N, 3, height, width)`.

        Raises:
            InputError: if so.
        """
        if batch.dtype != np.float32:
            raise InputError(f"A batch of {batch.dtype} does not fit; float32 is wanted.")
        if batch.ndim != 4 or batch.shape[1:] != (3, self.height, self.width) or not len(batch):
            raise InputError(
                f"A batch of shape {batch.shape} does not fit; (N, 3, {self.height}, {self.width}) is wanted."
            )

    def detect(self, frames: Sequence[Frame]) -> list[Map]:
        """Compute the blur maps of frames: resize, normalise, infer, and resize the maps.

        Args:
            frames: uint8 `(H, W, 3)` BGR each, of any sizes.

        Returns:
            float32 `(H, W)` each, of its frame's size, 0..1, 1 = blurred. The arrays belong to the caller.

        Raises:
            InputError: if there is no frame.
            BackendError: if the engine underneath fails, or was closed.
        """
        batch = preprocess(frames, self.width, self.height, self.metadata.normalisation, threads=self.threads)
        sizes = [(frame.shape[1], frame.shape[0]) for frame in frames]
        blur = self.infer(batch)[:, 0]
        return [to_frame_size(item, *size, threads=self.threads) for item, size in zip(blur, sizes, strict=True)]

    def infer_on_device(self, batch: Batch) -> "DeviceMap":
        """The same as `infer`, with the maps left on the GPU: only the `tensorrt` backend does that.

        Raises:
            InputError: if this backend gives its maps in the CPU's memory.
        """
        raise InputError(f"The backend {self.name} keeps no maps on a GPU; an engine of `br2net build` does.")

    @abstractmethod
    def _run(self, batch: Batch) -> Batch:
        """Run one batch whose shape is checked; the result must not be reused by a later call."""

    def device_times(self) -> DeviceTimes | None:
        """Of the last `infer`, where the model runs on a device with a clock and memory of its own; None elsewhere."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Free what the backend holds; it cannot be used afterwards. Closing twice does no harm."""

    def __enter__(self) -> "Backend":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
