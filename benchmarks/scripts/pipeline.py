"""Frames a second of the whole pipeline against inference alone, latency of a live source, memory over many frames.

Run it by hand: `python -m benchmarks.scripts.pipeline [RESULT.json] [--rounds 5] [--frames 200] [--memory-frames 20000]`.
Rounds are interleaved, so that a machine whose speed drifts slows all alike; rates are medians over rounds, and ratios are
medians of the ratios within a round. The source is a file of 640x480, as `br2net camera FILE --drop wait` reads it; the
live source is the same file played at its 30 frames a second.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import resources
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np

from br2net.builder.comparison import packaged_photograph
from br2net.builder.export import ExportOptions, export_onnx
from br2net.files import write_text
from br2net.live.camera import BufferPolicy, Camera, CameraOptions
from br2net.live.pipeline import FrameResult, Pipeline
from br2net.live.sinks import JsonLinesSink, Sink, VideoSink
from br2net.network import load_checkpoint
from br2net.runtime.backend import Backend, InferenceOptions
from br2net.runtime.backends import open_backend
from br2net.runtime.preprocessing import preprocess

WIDTH, HEIGHT, RATE = 640, 480, 30.0
STREAMS = 2  # what `br2net camera` takes for files
MODELS = ("mobile", "mobile-int8")
SMALL = (96, 96)  # input size for the memory run, so that it takes minutes and not a quarter of an hour


@dataclass(frozen=True)
class Pace:
    """Frames a second, and milliseconds of processor time for one, over all threads."""

    rate: float
    cpu_ms: float


@dataclass(frozen=True)
class Rates:
    """Frames a second of one model, and the pipeline's against inference alone in the same round.

    Attributes:
        alone_latency: inference alone, one batch after the other, the whole processor for each.
        alone_streams: inference alone, two side by side.
        pipeline: `--drop wait`, without sinks.
        recording: the same with a video and JSON lines.
        cpu_ms: processor time of a frame in each of the four, which other programs on the machine hardly change; on a
            processor that is fully used, rates go as its inverse.
        cpu_pipeline_to_alone_streams: the ratio of rates that follows from it.
    """

    model: str
    precision: str
    input_size: tuple[int, int]
    alone_latency: float
    alone_streams: float
    pipeline: float
    recording: float
    pipeline_to_alone_latency: float
    pipeline_to_alone_streams: float
    cpu_ms: dict[str, float]
    cpu_pipeline_to_alone_streams: float
    stages_ms: dict[str, float]


@dataclass(frozen=True)
class Live:
    """Capture to sink of a source of 30 frames a second."""

    model: str
    frames: int
    dropped: int
    skipped: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Memory:
    """Resident memory after each twentieth of a run that records; deviation from their median, past the first."""

    frames: int
    resident_mib: list[float]
    largest_deviation_percent: float


def make_video(path: Path, frames: int) -> None:
    """A view that wanders over the packaged photograph, 640x480 at 30 frames a second."""
    photograph = cv2.resize(packaged_photograph(), (WIDTH + 100, HEIGHT + 75), interpolation=cv2.INTER_AREA)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), RATE, (WIDTH, HEIGHT))
    for index in range(frames):
        x, y = (round(side * (0.5 + 0.5 * np.sin(index / step))) for side, step in ((100, 23.0), (75, 17.0)))
        writer.write(np.ascontiguousarray(photograph[y : y + HEIGHT, x : x + WIDTH]))
    writer.release()


def time_alone(backend: Backend, frames: int) -> Pace:
    """Inference alone, with as many threads as the backend takes."""
    size = (backend.width, backend.height)
    batch = preprocess([packaged_photograph()], *size, backend.metadata.normalisation)
    with ThreadPoolExecutor(backend.concurrency) as threads:
        list(threads.map(backend.infer, [batch] * backend.concurrency))
        began, cpu = time.perf_counter(), time.process_time()
        list(threads.map(backend.infer, [batch] * frames))
        return Pace(frames / (time.perf_counter() - began), (time.process_time() - cpu) * 1000.0 / frames)


def time_pipeline(backend: Backend, video: Path, sinks: list[Sink]) -> tuple[Pace, dict[str, float]]:
    """The whole pipeline on the file, and mean milliseconds of its stages."""
    cpu = time.process_time()
    with Camera(video, CameraOptions(policy=BufferPolicy.WAIT)) as camera:
        summary = Pipeline([camera], backend).run(sinks)
    cpu_ms = (time.process_time() - cpu) * 1000.0 / summary.frames
    return Pace(summary.fps, cpu_ms), dict(summary.stages)


def measure_rates(model: str, path: Path, video: Path, frames: int, rounds: int, folder: Path) -> Rates:
    """Time inference alone and the pipeline in interleaved rounds."""
    samples: dict[str, list[Pace]] = {"latency": [], "streams": [], "pipeline": [], "recording": []}
    stages: list[dict[str, float]] = []
    with (
        open_backend(path, "openvino", InferenceOptions()) as one,
        open_backend(path, "openvino", InferenceOptions(streams=STREAMS)) as several,
    ):
        for _ in range(rounds):
            samples["latency"].append(time_alone(one, frames))
            samples["streams"].append(time_alone(several, frames))
            pace, times = time_pipeline(several, video, [])
            samples["pipeline"].append(pace)
            stages.append(times)
            sinks: list[Sink] = [VideoSink(folder / "o.mp4", rates=lambda _: RATE), JsonLinesSink(folder / "o.jsonl")]
            samples["recording"].append(time_pipeline(several, video, sinks)[0])
        facts = (several.precision, (several.width, several.height))
    rates = {name: np.array([pace.rate for pace in paces]) for name, paces in samples.items()}
    cpu = {name: np.array([pace.cpu_ms for pace in paces]) for name, paces in samples.items()}
    return Rates(
        model,
        *facts,
        alone_latency=_median(rates["latency"]),
        alone_streams=_median(rates["streams"]),
        pipeline=_median(rates["pipeline"]),
        recording=_median(rates["recording"]),
        pipeline_to_alone_latency=_median(rates["pipeline"] / rates["latency"], 3),
        pipeline_to_alone_streams=_median(rates["pipeline"] / rates["streams"], 3),
        cpu_ms={name: _median(values) for name, values in cpu.items()},
        cpu_pipeline_to_alone_streams=_median(cpu["streams"] / cpu["pipeline"], 3),
        stages_ms={name: _median(np.array([item[name] for item in stages]), 3) for name in stages[0]},
    )


def measure_live(model: str, path: Path, video: Path) -> Live:
    """Play the file as a camera would, and take the latencies."""
    with open_backend(path, "openvino", InferenceOptions()) as backend:
        backend.infer(np.zeros((1, 3, backend.height, backend.width), np.float32))
        with Camera(video, CameraOptions(policy=BufferPolicy.DROP_OLDEST)) as camera:
            summary = Pipeline([camera], backend).run()
    latencies = {name: round(value, 2) for name, value in summary.latency.items()}
    return Live(model, summary.frames, summary.dropped, summary.skipped, **latencies)


class _Watch:
    """A sink that notes the resident memory now and then."""

    def __init__(self, every: int) -> None:
        self.resident_mib: list[float] = []
        self._every, self._count = every, 0

    def write(self, result: FrameResult) -> None:
        """Count the frame."""
        self._count += 1
        if self._count % self._every == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.resident_mib.append(round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 2))

    def close(self) -> None:
        """Nothing is held."""


def measure_memory(checkpoint: Path, video: Path, frames: int, folder: Path) -> Memory:
    """Run many frames through everything with a small input, recording; watch the resident memory."""
    path = folder / "small.onnx"
    export_onnx(load_checkpoint(checkpoint), path, ExportOptions(size=SMALL))
    watch = _Watch(max(1, frames // 20))
    sinks: list[Sink] = [VideoSink(folder / "m.mkv", rates=lambda _: RATE), JsonLinesSink(folder / "m.jsonl"), watch]
    with (
        open_backend(path, "openvino", InferenceOptions(streams=STREAMS)) as backend,
        Camera(video, CameraOptions(policy=BufferPolicy.WAIT)) as camera,
    ):
        summary = Pipeline([camera], backend).run(sinks)
    settled = np.array(watch.resident_mib[1:])
    deviation = float(np.abs(settled / np.median(settled) - 1.0).max() * 100.0)
    return Memory(summary.frames, watch.resident_mib, round(deviation, 2))


def main() -> None:
    """Measure, print, and write JSON where a path was given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--memory-frames", type=int, default=20000)
    options = parser.parse_args()
    cv2.setNumThreads(1)  # as `br2net camera` does where inference has all cores
    shipped = Path(str(resources.files("br2net").joinpath("models")))
    paths = {name: shipped / f"{name}.onnx" for name in MODELS if (shipped / f"{name}.onnx").is_file()}
    result: dict[str, object] = {"environment": _environment()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = folder / "video.mp4"
        make_video(video, options.frames)
        rates = [
            measure_rates(model, path, video, options.frames, options.rounds, folder) for model, path in paths.items()
        ]
        result["rates"] = _shown([asdict(item) for item in rates])
        live = folder / "live.mp4"
        make_video(live, max(options.frames, 300))
        result["live"] = _shown([asdict(measure_live(model, path, live)) for model, path in paths.items()])
        if options.memory_frames:
            long = folder / "long.mp4"
            make_video(long, options.memory_frames)
            memory = measure_memory(shipped / "mobile.pth", long, options.memory_frames, folder)
            result["memory"] = _shown([asdict(memory)])[0]
    if options.result is not None:
        write_text(options.result, json.dumps(result, indent=2) + "\n")


def _median(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", digits: int = 2) -> float:
    return round(float(np.median(values)), digits)


def _shown(items: list[dict[str, object]]) -> list[dict[str, object]]:
    for item in items:
        print(json.dumps(item), flush=True)
    return items


def _environment() -> dict[str, object]:
    names = ("openvino", "numpy", "opencv-python")
    load: Callable[[], tuple[float, float, float]] = os.getloadavg
    return {
        "processors": len(os.sched_getaffinity(0)),
        "load_before": [round(value, 2) for value in load()],
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }


if __name__ == "__main__":
    main()
