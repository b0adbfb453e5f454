"""The detector: from frames to blur maps."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, overload

import numpy as np

from br2net.blur_map import BlurMap
from br2net.errors import ImageError
from br2net.files import StrPath
from br2net.loading import load_backend
from br2net.runtime.backend import Backend, InferenceOptions, detect
from br2net.runtime.images import read_image
from br2net.runtime.metadata import ModelMetadata
from br2net.runtime.postprocessing import Wanted
from br2net.types import Closing, Frame
from br2net.zoo import DEFAULT_MODEL

if TYPE_CHECKING:
    from br2net.live.camera import Camera
    from br2net.live.pipeline import PipelineOptions
    from br2net.runtime.cuda.device_map import DeviceMap

FrameOrPath = Frame | StrPath
FRAMES_AT_ONCE = 8  # decoded and computed together; large lists need no more memory than this


class Detector(Closing):
    """Finds what is out of focus. Threads may share a detector.

    Example:
        >>> detector = Detector.load("mobile")
        >>> result = detector("photograph.jpg")
        >>> result.blurred_fraction
    """

    def __init__(self, backend: Backend) -> None:
        """Wrap a loaded backend; the detector owns it from here on and closes it."""
        self._backend = backend

    @classmethod
    def load(
        cls,
        model: StrPath = DEFAULT_MODEL,
        *,
        backend: str = "auto",
        device: str = "auto",
        precision: str = "auto",
        size: tuple[int, int] | None = None,
        threads: int = 0,
        streams: int = 1,
    ) -> "Detector":
        """Load a model; on a machine with an NVIDIA GPU as an engine, built at the first call and kept for later ones.

        Args:
            model: name of a shipped model, or path of an ONNX file, an engine or a checkpoint; or
                `triton://host:port/model` on a server.
            backend: `auto`, `openvino`, `onnxruntime`, `tensorrt` or `torch` (checkpoints).
            device: `auto`, or a device by the backend's name for it.
            precision: `auto` for what the device does best, or `fp32`, `bf16`, `fp16` where the backend has it.
            size: input `(width, height)` in pixels, multiples of 32; None for the model's default.
            threads: CPU threads; 0 for all.
            streams: batches to compute side by side, for `stream` and the pipeline: more frames a second, each later.

        Raises:
            Br2netError: one of its classes; the sentence says what was wrong and what to do.
        """
        return cls(load_backend(model, backend, InferenceOptions(device, precision, size, threads, streams)))

    @property
    def metadata(self) -> ModelMetadata:
        """Facts that travel inside the model file."""
        return self._backend.metadata

    @property
    def backend(self) -> Backend:
        """The loaded backend, with its name, device and the precision in force."""
        return self._backend

    @overload
    def __call__(self, frames: FrameOrPath) -> BlurMap: ...  # type: ignore[overload-overlap]  # a str is no list of images

    @overload
    def __call__(self, frames: Sequence[FrameOrPath]) -> list[BlurMap]: ...

    def __call__(self, frames: FrameOrPath | Sequence[FrameOrPath]) -> BlurMap | list[BlurMap]:
        """Detect in one frame, or in several at once.

        Args:
            frames: a frame, uint8 `(H, W, 3)` BGR as OpenCV gives it, or the path of an image; or a list of these, of
                any sizes, which is computed in batches.

        Returns:
            One `BlurMap` for one frame; a list of them, in the same order, for a list.

        Raises:
            ImageError: if a frame is not of that kind, or an image cannot be read.
        """
        if isinstance(frames, str | os.PathLike | np.ndarray):
            return self._detect([_to_frame(frames)])[0]
        results: list[BlurMap] = []
        for start in range(0, len(frames), FRAMES_AT_ONCE):
            results += self._detect([_to_frame(item) for item in frames[start : start + FRAMES_AT_ONCE]])
        return results

    def _detect(self, frames: list[Frame]) -> list[BlurMap]:
        began = time.perf_counter()
        outputs = detect(self._backend, frames)
        latency_ms = (time.perf_counter() - began) * 1000.0 / len(frames)
        return [BlurMap(item.map, latency_ms) for item in outputs if item.map is not None]

    def infer_on_device(self, frame: FrameOrPath) -> "DeviceMap":
        """Detect in one frame and keep the map in GPU memory for further GPU processing.

        Needs an engine. The result, float32 `(H, W)` at the frame's size, owns its memory; `DeviceMap` says how PyTorch
        and CuPy take it.

        Args:
            frame: uint8 `(H, W, 3)` BGR, or the path of an image.

        Raises:
            ImageError: if it is not of that kind, or an image cannot be read.
            InputError: if the backend keeps no maps on a GPU.
        """
        (outputs,) = detect(self._backend, [_to_frame(frame)], Wanted.DEVICE_MAP)
        assert outputs.device_map is not None
        return outputs.device_map

    def stream(self, camera: "Camera", options: "PipelineOptions | None" = None) -> Iterator[tuple[Frame, BlurMap]]:
        """Detect in each frame of a camera, while the next ones are captured and prepared.

        Args:
            camera: opened here if it is not open; whoever made it closes it.
            options: smoothing over time; None for none.

        Yields:
            The frame, uint8 `(H, W, 3)` BGR, the caller's own, and its `BlurMap`, whose latency counts from capture.

        Raises:
            CameraError: if the camera cannot be opened, or is lost for good.
        """
        from br2net.live.pipeline import Pipeline

        with closing(Pipeline([camera], self._backend, options).results()) as results:
            for result in results:
                yield result.frame, BlurMap(result.map, result.latency_ms)

    def close(self) -> None:
        """Free the model; the detector cannot be used afterwards."""
        self._backend.close()


def _to_frame(item: FrameOrPath) -> Frame:
    if isinstance(item, str | os.PathLike):
        return read_image(item)
    if (
        not isinstance(item, np.ndarray)
        or item.dtype != np.uint8
        or item.ndim != 3
        or item.shape[2] != 3
        or not item.size
    ):
        kind = f"{item.dtype} {item.shape}" if isinstance(item, np.ndarray) else type(item).__name__
        raise ImageError(f"A frame is uint8 of shape (H, W, 3), BGR; this is {kind}.")
    return item
