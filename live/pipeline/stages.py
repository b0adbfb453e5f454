"""What each stage does to a batch of frames, without threads."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from br2net.errors import InputError
from br2net.live.camera import CapturedFrame
from br2net.live.pipeline.focus import grey_sharpness
from br2net.live.pipeline.options import PipelineOptions
from br2net.live.pipeline.result import FrameResult, StageTimes
from br2net.runtime.backend import Request
from br2net.runtime.postprocessing import Outputs, Wanted, blurred_fraction, postprocess
from br2net.types import Map, PixelFormat


@dataclass(eq=False)
class Job:
    """A batch on its way.

    Attributes:
        number: number of the batch, from 0; results come in this order.
        frames: one of each camera that had one ready.
        request: the request that takes them through the model.
        preprocess_ms: milliseconds of `prepare`, per frame.
        inference_ms: milliseconds of `run`, per frame.
    """

    number: int
    frames: list[CapturedFrame]
    request: Request
    preprocess_ms: float = 0.0
    inference_ms: float = 0.0

    @property
    def pixels(self) -> PixelFormat:
        """Pixel format in which the frames are given to the request: their own if all have the same, else BGR."""
        formats = {item.pixels for item in self.frames}
        return formats.pop() if len(formats) == 1 else PixelFormat.BGR

    def prepare(self) -> None:
        """Make network input of the frames."""
        began, pixels = time.perf_counter(), self.pixels
        self.request.prepare([item.data if item.pixels is pixels else item.frame for item in self.frames], pixels)
        self.preprocess_ms = _since(began) / len(self.frames)

    def run(self) -> None:
        """Run the model, or enqueue it on a GPU."""
        began = time.perf_counter()
        self.request.run()
        self.inference_ms = _since(began) / len(self.frames)


class Smoother:
    """Exponential average of a camera's maps with a time constant, independent of their rate.

    After `time_constant_s` seconds a change has come through by 1 - 1/e = 63 %. Missing frames do no harm: the weight of a
    map follows from the time since the one before.
    """

    def __init__(self, time_constant_s: float) -> None:
        self._time_constant_s = time_constant_s
        self._average: Map | None = None
        self._timestamp = 0.0

    def apply(self, blur: Map, timestamp: float) -> Map:
        """Average a map `(H, W)` with those before, into a new array; begin anew when the size changes."""
        elapsed_s = max(0.0, timestamp - self._timestamp)
        self._timestamp = timestamp
        if self._average is None or self._average.shape != blur.shape:
            self._average = blur
            return blur
        weight = 1.0 - math.exp(-elapsed_s / self._time_constant_s)
        mixed = cv2.addWeighted(blur, weight, self._average, 1.0 - weight, 0.0)
        self._average = np.asarray(mixed, dtype=np.float32)
        return self._average


class Finisher:
    """Makes results of finished inference: outputs at frame size, smoothed over time, with their figures.

    Jobs come in order. `wanted` are the outputs that sinks and alerts read.
    """

    def __init__(self, options: PipelineOptions, wanted: Wanted, threads: int, notice: Callable[[str], None]) -> None:
        self._options = options
        self._wanted = wanted | Wanted.FRACTION | (Wanted.MAP if options.regions else Wanted(0))
        self._threads = threads
        self._notice = notice
        self._smoothers: dict[str, Smoother] = {}
        self._sizes: dict[str, tuple[int, int]] = {}  # of the last frame of each camera

    def finish(self, job: Job) -> list[FrameResult]:
        """Wait for the outputs of a job, return its request to the pool, and make the results, without their latency.

        Raises:
            InputError: if a region reaches out of the first frame of a camera. If the size changes later, the region is
                left out and `notice` is called.
        """
        wanted = self._wanted
        if self._options.smooth_s:
            wanted = Wanted.MAP  # the other outputs are those of the smoothed map
        elif job.pixels is not PixelFormat.BGR and Wanted.OVERLAY in wanted:
            wanted = wanted & ~Wanted.OVERLAY | Wanted.MAP  # a drawing makes it from the map and the picture
        began = time.perf_counter()
        with job.request as request:
            outputs = request.finish(wanted)
            device = request.device_times()
        finish_ms = _since(began) / len(job.frames)
        if device is not None:  # `run` has only enqueued, and `finish` waited
            job.inference_ms = (device.upload_ms + device.compute_ms + device.download_ms) / len(job.frames)
            finish_ms = max(0.0, finish_ms - job.inference_ms)
        return [self._finish(job, item, found, finish_ms) for item, found in zip(job.frames, outputs, strict=True)]

    def _finish(self, job: Job, captured: CapturedFrame, outputs: Outputs, finish_ms: float) -> FrameResult:
        began = time.perf_counter()
        if self._options.smooth_s:
            outputs = self._smooth(captured, outputs)
        grey = captured.grey
        fractions: dict[str, float] = {}
        scores: dict[str, float] = {}
        for name, place in self._places(captured).items():
            assert outputs.map is not None
            fractions[name] = blurred_fraction(outputs.map[place])
            scores[name] = grey_sharpness(np.ascontiguousarray(grey[place]))
        score = grey_sharpness(grey)
        for array in (outputs.map, outputs.grey, outputs.overlay):
            if array is not None:
                array.flags.writeable = False  # sinks share it, and so does the smoothing
        assert outputs.blurred_fraction is not None
        times = StageTimes(captured.capture_ms, job.preprocess_ms, job.inference_ms, finish_ms + _since(began))
        return FrameResult(
            captured, outputs, outputs.blurred_fraction, fractions, score, 0.0, times, region_sharpness=scores
        )

    def _places(self, captured: CapturedFrame) -> dict[str, tuple[slice, slice]]:
        known, size = self._sizes.get(captured.camera), captured.size
        self._sizes[captured.camera] = size
        places = {}
        for region in self._options.regions:
            try:
                places[region.name] = region.slices(*size)
            except InputError as error:
                if known is None:
                    raise
                if known != size:
                    self._notice(str(error))
        return places

    def _smooth(self, captured: CapturedFrame, outputs: Outputs) -> Outputs:
        smoother = self._smoothers.setdefault(captured.camera, Smoother(self._options.smooth_s))
        assert outputs.map is not None
        blur = smoother.apply(outputs.map, captured.timestamp)
        wanted = self._wanted & ~Wanted.MAP
        frame = captured.frame if Wanted.OVERLAY in wanted else captured.data
        return replace(postprocess(blur, frame, captured.size, wanted, threads=self._threads), map=blur)


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1000.0
