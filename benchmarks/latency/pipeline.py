"""What is timed: a frame in memory, through one loaded model, to a map of the frame's size."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from br2net.benchmarks.latency.timing import Sample
from br2net.runtime.backend import Backend
from br2net.runtime.postprocessing import to_frame_size
from br2net.runtime.preprocessing import preprocess

STAGES = ("preprocess", "transfer", "inference", "postprocess")


@dataclass(frozen=True)
class Pipeline:
    """A loaded model and the frames that it is given: uint8 `(H, W, 3)` BGR, as many as the batch holds."""

    backend: Backend
    frames: list[NDArray[np.uint8]]

    def run(self) -> Sample:
        """Preprocess, infer and postprocess once; a backend that has a clock of its own device tells its part."""
        backend, frames = self.backend, self.frames
        began = time.perf_counter_ns()
        batch = preprocess(
            frames, backend.width, backend.height, backend.metadata.normalisation, threads=backend.threads
        )
        prepared = time.perf_counter_ns()
        maps = backend.infer(batch)
        inferred = time.perf_counter_ns()
        for blur, frame in zip(maps[:, 0], frames, strict=True):
            to_frame_size(blur, frame.shape[1], frame.shape[0], threads=backend.threads)
        ended = time.perf_counter_ns()
        times = {
            "preprocess": (prepared - began) / 1e6,
            "inference": (inferred - prepared) / 1e6,
            "postprocess": (ended - inferred) / 1e6,
        }
        device = backend.device_times()
        if device is not None:
            times["transfer"] = device.upload_ms + device.download_ms
            times["inference"] = max(times["inference"] - times["transfer"], 0.0)
        stages = {name: times[name] for name in STAGES if name in times}
        return Sample(stages, (ended - began) / 1e6, None if device is None else device.enqueue_ms)
