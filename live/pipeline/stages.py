"""What each stage does to a batch of frames, without threads."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from br2net.errors import InputError
from br2net.live.camera.frame import CapturedFrame
from br2net.live.pipeline.focus import grey_sharpness, to_grey_levels
from br2net.live.pipeline.options import PipelineOptions
from br2net.live.pipeline.result import FrameResult, StageTimes
from br2net.live.pipeline.smoothing import Smoother
from br2net.runtime.backend import Backend
from br2net.runtime.postprocessing import to_frame_size
from br2net.runtime.preprocessing import preprocess
from br2net.types import THRESHOLD, Batch


@dataclass(eq=False)
class Job:
    """A batch on its way: frames, then network input, then maps.

    Attributes:
        number: of the batch, from 0; results come in this order.
        frames: one of each camera that had one ready.
        batch: network input `(N, 3, h, w)`, then its maps `(N, 1, h, w)`.
        preprocess_ms, inference_ms: of a frame: the batch's, divided by their number.
    """

    number: int
    frames: list[CapturedFrame]
    batch: Batch
    preprocess_ms: float
    inference_ms: float = 0.0


@dataclass(frozen=True, eq=False)
class Finished:
    """A result but for its latency, and when its frame was captured (`time.perf_counter`)."""

    result: FrameResult
    captured_at: float


def prepare(number: int, frames: list[CapturedFrame], backend: Backend) -> Job:
    """Make network input of frames."""
    began = time.perf_counter()
    pixels = [item.frame for item in frames]
    normalisation, threads = backend.metadata.normalisation, backend.threads
    batch = preprocess(pixels, backend.width, backend.height, normalisation, threads=threads)
    return Job(number, frames, batch, _since(began) / len(frames))


def infer(job: Job, backend: Backend) -> None:
    """Turn the job's network input into maps."""
    began = time.perf_counter()
    job.batch = backend.infer(job.batch)
    job.inference_ms = _since(began) / len(job.frames)


class Finisher:
    """Makes results of maps: at frame size, smoothed over time, with their figures. Jobs come in order."""

    def __init__(self, options: PipelineOptions, notice: Callable[[str], None]) -> None:
        self._options = options
        self._notice = notice
        self._smoothers: dict[str, Smoother] = {}
        self._sizes: dict[str, tuple[int, int]] = {}  # of the last frame of each camera

    def finish(self, job: Job) -> list[Finished]:
        """Make the results of a job.

        Raises:
            InputError: if a region reaches out of the first frame of a camera. Out of later ones, where the size has
                changed meanwhile, it is left out, and told of.
        """
        return [self._finish(job, item, blur) for item, blur in zip(job.frames, job.batch[:, 0], strict=True)]

    def _finish(self, job: Job, captured: CapturedFrame, blur: NDArray[np.float32]) -> Finished:
        began = time.perf_counter()
        height, width = captured.frame.shape[:2]
        blur = self._smooth(captured, to_frame_size(blur, width, height))
        grey = to_grey_levels(captured.frame)
        fractions: dict[str, float] = {}
        scores: dict[str, float] = {}
        for name, place in self._places(captured.camera, width, height).items():
            fractions[name] = blurred_fraction(blur[place])
            scores[name] = grey_sharpness(np.ascontiguousarray(grey[place]))
        blur.flags.writeable = False  # sinks share it, and so does the smoothing
        result = FrameResult(
            camera=captured.camera,
            index=captured.index,
            timestamp=captured.timestamp,
            frame=captured.frame,
            map=blur,
            blurred_fraction=blurred_fraction(blur),
            regions=fractions,
            sharpness=grey_sharpness(grey),
            latency_ms=0.0,
            stages=StageTimes(captured.capture_ms, job.preprocess_ms, job.inference_ms, _since(began)),
            region_sharpness=scores,
        )
        return Finished(result, captured.captured_at)

    def _places(self, camera: str, width: int, height: int) -> dict[str, tuple[slice, slice]]:
        known = self._sizes.get(camera)
        self._sizes[camera] = (width, height)
        places = {}
        for region in self._options.regions:
            try:
                places[region.name] = region.slices(width, height)
            except InputError as error:
                if known is None:
                    raise
                if known != (width, height):
                    self._notice(str(error))
        return places

    def _smooth(self, captured: CapturedFrame, blur: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._options.smooth_s == 0.0:
            return blur
        smoother = self._smoothers.setdefault(captured.camera, Smoother(self._options.smooth_s))
        return smoother.apply(blur, captured.timestamp)


def blurred_fraction(blur: NDArray[np.float32]) -> float:
    """Share of the pixels of a map that are blurred (at least 0.5), 0..1."""
    return float(np.count_nonzero(blur >= THRESHOLD) / blur.size)


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1000.0
