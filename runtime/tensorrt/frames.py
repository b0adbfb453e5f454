"""Frames in, maps of their size out: resizing and normalising on the GPU too, by the package's CUDA kernels.

A frame is copied to the GPU as the camera gave it, 3 bytes a pixel, and its map comes back at the frame's own size. On an
integrated GPU neither is copied: the kernels read and write mapped memory.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from br2net.runtime.backend import DeviceTimes
from br2net.runtime.cuda.interface import Cuda, DeviceBuffer, HostBuffer
from br2net.runtime.metadata import Normalisation
from br2net.runtime.native.cuda_kernels import CudaKernels, DeviceFrame, DevicePictures
from br2net.runtime.tensorrt.engine import Engine
from br2net.runtime.tensorrt.execution import Execution, Shape
from br2net.types import Frame, Map


@dataclass(frozen=True, eq=False)
class Place:
    """Room for one frame of up to `pixels` pixels and its map, on both sides; without the GPU's side where it is mapped."""

    pixels: int
    frame: HostBuffer
    map: HostBuffer
    device_frame: DeviceBuffer | None
    device_map: DeviceBuffer | None

    def addresses(self) -> tuple[int, int]:
        """Where the kernels read the frame and write the map."""
        if self.device_frame is None or self.device_map is None:
            return self.frame.device_address, self.map.device_address
        return self.device_frame.address, self.device_map.address

    def close(self) -> None:
        """Free all of it; nothing is in flight."""
        for buffer in (self.frame, self.map, self.device_frame, self.device_map):
            if buffer is not None:
                buffer.close()


class FrameSlot:
    """An execution context between the two kernels. One call at a time, each inside `cuda.active()`."""

    def __init__(
        self,
        cuda: Cuda,
        engine: Engine,
        kernels: CudaKernels,
        largest: Shape,
        normalisation: Normalisation,
        *,
        graphs: bool,
    ) -> None:
        self._cuda, self._engine, self._kernels = cuda, engine, kernels
        self._largest = largest
        scale = [1.0 / (255.0 * std) for std in normalisation.std]
        shift = [-mean / std for mean, std in zip(normalisation.mean, normalisation.std, strict=True)]
        self._scale, self._shift = (scale[0], scale[1], scale[2]), (shift[0], shift[1], shift[2])
        self._places: list[Place] = []
        self._enqueue_ms: float | None = None
        self._owned = ExitStack()
        own = self._owned.enter_context
        count, _, height, width = largest
        types = engine.tensors
        try:
            self._stream = own(cuda.stream())
            self._points = [own(cuda.event(timed=True)) for _ in range(4)]
            self._execution = Execution(cuda, engine, self._stream, graphs=graphs)
            self._input = own(cuda.device_buffer(int(np.prod(largest)) * types.input_type.itemsize))
            self._output = own(cuda.device_buffer(count * height * width * types.output_type.itemsize))
            self._execution.bind(self._input.address, self._output.address)
        except BaseException:
            self._owned.close()
            raise

    def detect(self, frames: Sequence[Frame], smallest: int) -> list[Map]:
        """Maps of up to as many frames as the engine takes.

        Args:
            frames: uint8 `(H, W, 3)` BGR each, of any sizes.
            smallest: number of images that the engine takes at least; the last frame fills it up.

        Returns:
            float32 `(H, W)` each, 0..1, owned by the caller.

        Raises:
            BackendError: if CUDA or TensorRT fails.
        """
        places = [self._place(number, frame) for number, frame in enumerate(frames)]
        for place, frame in zip(places, frames, strict=True):
            place.frame.view(frame.shape, np.uint8)[...] = frame
        began = time.perf_counter()
        points, stream = self._points, self._stream
        points[0].record(stream)
        for place, frame in zip(places, frames, strict=True):
            if place.device_frame is not None:
                self._cuda.upload(place.device_frame, place.frame, frame.size, stream)
        points[1].record(stream)
        count = max(len(frames), smallest)
        self._execution.set_shape((count, *self._largest[1:]))
        for number in range(count):
            last = min(number, len(frames) - 1)
            self._preprocess(frames[last], places[last], number)
        self._execution.run()
        for number, frame in enumerate(frames):
            self._postprocess(frame, places[number], number)
        points[2].record(stream)
        for place, frame in zip(places, frames, strict=True):
            if place.device_map is not None:
                self._cuda.download(place.map, place.device_map, _map_bytes(frame), stream)
        points[3].record(stream)
        self._enqueue_ms = (time.perf_counter() - began) * 1000.0
        stream.synchronize()
        return [
            np.array(place.map.view(frame.shape[:2], np.float32)) for place, frame in zip(places, frames, strict=True)
        ]

    def _preprocess(self, frame: Frame, place: Place, number: int) -> None:
        _, channels, height, width = self._largest
        kind = self._engine.tensors.input_type
        planes = self._input.address + number * channels * height * width * kind.itemsize
        own_height, own_width = frame.shape[:2]
        source = DeviceFrame(place.addresses()[0], 3 * own_width, own_width, own_height)
        half = kind == np.float16
        self._kernels.preprocess(source, planes, width, height, self._scale, self._shift, self._stream, half=half)

    def _postprocess(self, frame: Frame, place: Place, number: int) -> None:
        _, _, height, width = self._largest
        kind = self._engine.tensors.output_type
        blur = self._output.address + number * height * width * kind.itemsize
        pictures = DevicePictures(frame.shape[1], frame.shape[0], map=place.addresses()[1])
        self._kernels.postprocess(blur, width, height, pictures, self._stream, half=kind == np.float16)

    def _place(self, number: int, frame: Frame) -> Place:
        """Room for frame `number`; made anew where it is too small. Nothing is in flight between two calls."""
        pixels = frame.shape[0] * frame.shape[1]
        if number < len(self._places) and self._places[number].pixels >= pixels:
            return self._places[number]
        mapped = self._cuda.integrated
        place = Place(
            pixels,
            self._cuda.host_buffer(3 * pixels, mapped=mapped),
            self._cuda.host_buffer(4 * pixels, mapped=mapped),
            None if mapped else self._cuda.device_buffer(3 * pixels),
            None if mapped else self._cuda.device_buffer(4 * pixels),
        )
        if number < len(self._places):
            self._places[number].close()
            self._places[number] = place
        else:
            self._places.append(place)
        return place

    @property
    def runs_graph(self) -> bool:
        """Whether the engine's last run was a replay of a CUDA graph."""
        return self._execution.runs_graph

    def times(self) -> DeviceTimes | None:
        """Of the last call, the kernels' part within `compute_ms`; None before the first."""
        if self._enqueue_ms is None:
            return None
        began, uploaded, computed, done = self._points
        copies = not self._cuda.integrated
        return DeviceTimes(
            upload_ms=uploaded.milliseconds_since(began) if copies else 0.0,
            compute_ms=computed.milliseconds_since(uploaded),
            download_ms=done.milliseconds_since(computed) if copies else 0.0,
            enqueue_ms=self._enqueue_ms,
        )

    def close(self) -> None:
        """Free everything but the kernels, which are the caller's."""
        self._stream.synchronize()
        self._execution.close()
        for place in self._places:
            place.close()
        self._places.clear()
        self._owned.close()


def _map_bytes(frame: Frame) -> int:
    return frame.size // 3 * 4
