"""Frames a second of the live pipeline against inference alone, latency of a live source, memory over many frames.

Run it by hand: `python -m benchmarks.scripts.pipeline [RESULT.json] [--rounds 5] [--frames 200] [--memory-frames 20000]`.
Rates are medians over interleaved rounds, and ratios are medians of the ratios within a round. The source is a file of 640x480,
as `br2net camera FILE --drop wait` reads it; the live source is the same file played at its 30 frames a second.
"""

import argparse
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from benchmarks.scripts.common import ResidentMemory, clocked, environment, interleaved, median, save
from br2net.builder.comparison import packaged_photograph
from br2net.builder.export import ExportOptions, export_onnx
from br2net.live.camera import BufferPolicy, Camera, CameraOptions
from br2net.live.pipeline import Pipeline, Sink, Summary
from br2net.live.sinks import JsonLinesSink, VideoSink
from br2net.network import load_checkpoint
from br2net.runtime.backend import Backend, InferenceOptions
from br2net.runtime.backends import open_backend
from br2net.zoo import find_model

WIDTH, HEIGHT, RATE = 640, 480, 30.0
STREAMS = 2  # what `br2net camera` takes for files
MODELS = ("mobile", "mobile-int8")
SMALL = (96, 96)  # input size for the memory run, so that it takes minutes and not a quarter of an hour
Pace = tuple[float, float]  # frames a second, and milliseconds of CPU time of a frame, over all threads


def make_video(path: Path, frames: int) -> Path:
    """Write a view that wanders over the packaged photograph, 640x480 at 30 frames a second."""
    photograph = cv2.resize(packaged_photograph(), (WIDTH + 100, HEIGHT + 75), interpolation=cv2.INTER_AREA)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), RATE, (WIDTH, HEIGHT))
    for index in range(frames):
        x, y = (round(side * (0.5 + 0.5 * np.sin(index / step))) for side, step in ((100, 23.0), (75, 17.0)))
        writer.write(np.ascontiguousarray(photograph[y : y + HEIGHT, x : x + WIDTH]))
    writer.release()
    return path


def run_pipeline(
    backend: Backend, video: Path, sinks: list[Sink], policy: BufferPolicy = BufferPolicy.WAIT
) -> tuple[Summary, Pace]:
    """Run the pipeline over a video; return its summary and pace."""
    summaries: list[Summary] = []
    with Camera(video, CameraOptions(policy=policy)) as camera:
        _, cpu_ms = clocked(lambda: summaries.append(Pipeline([camera], backend).run(sinks)))
    (summary,) = summaries
    return summary, (summary.fps, cpu_ms / summary.frames)


def time_alone(backend: Backend, frames: int) -> Pace:
    """Run inference alone, with as many threads as the backend takes."""

    def infer(count: int) -> None:
        with backend.request() as request:
            request.prepare([packaged_photograph()])
            for _ in range(count):
                request.run()

    with ThreadPoolExecutor(backend.concurrency) as pool:
        each = frames // backend.concurrency
        list(pool.map(infer, [1] * backend.concurrency))
        ms, cpu_ms = clocked(lambda: list(pool.map(infer, [each] * backend.concurrency)))
    done = each * backend.concurrency
    return 1000.0 * done / ms, cpu_ms / done


def measure_rates(path: Path, video: Path, frames: int, rounds: int, folder: Path) -> dict[str, object]:
    """Time inference alone (one batch after the other, and two side by side) and the pipeline, without and with sinks."""
    with (
        open_backend(path, "openvino", InferenceOptions()) as one,
        open_backend(path, "openvino", InferenceOptions(streams=STREAMS)) as several,
    ):

        def record() -> Pace:
            sinks: list[Sink] = [VideoSink(folder / "o.mp4", rates=lambda _: RATE), JsonLinesSink(folder / "o.jsonl")]
            return run_pipeline(several, video, sinks)[1]

        ways: dict[str, Callable[[], Pace]] = {
            "alone_latency": partial(time_alone, one, frames),
            "alone_streams": partial(time_alone, several, frames),
            "pipeline": lambda: run_pipeline(several, video, [])[1],
            "recording": record,
        }
        found = interleaved(ways, rounds)
        facts = {"model": path.stem, "precision": several.precision, "input_size": (several.width, several.height)}
    rates, cpu = ({name: np.array(paces)[:, index] for name, paces in found.items()} for index in (0, 1))
    return {
        **facts,
        **{name: median(values) for name, values in rates.items()},
        "pipeline_to_alone_latency": median(rates["pipeline"] / rates["alone_latency"], 3),
        "pipeline_to_alone_streams": median(rates["pipeline"] / rates["alone_streams"], 3),
        "cpu_ms": {name: median(values) for name, values in cpu.items()},
        "cpu_pipeline_to_alone_streams": median(cpu["alone_streams"] / cpu["pipeline"], 3),
    }


def measure_live(path: Path, video: Path) -> dict[str, object]:
    """Play the file as a camera would, and return the latencies from capture to sink."""
    with open_backend(path, "openvino", InferenceOptions()) as backend:
        time_alone(backend, 1)
        summary, _ = run_pipeline(backend, video, [], BufferPolicy.DROP_OLDEST)
    latencies = {name: round(value, 2) for name, value in summary.latency.items()}
    counts = {"frames": summary.frames, "dropped": summary.dropped, "skipped": summary.skipped}
    return {"model": path.stem, **counts, **latencies}


def measure_memory(video: Path, folder: Path) -> dict[str, object]:
    """Record many frames with a small network input; return resident memory, and its deviation past the first twentieth."""
    path = folder / "small.onnx"
    export_onnx(load_checkpoint(find_model("mobile").with_suffix(".pth")), path, ExportOptions(size=SMALL))
    sinks: list[Sink] = [VideoSink(folder / "m.mkv", rates=lambda _: RATE), JsonLinesSink(folder / "m.jsonl")]
    with open_backend(path, "openvino", InferenceOptions(streams=STREAMS)) as backend, ResidentMemory() as memory:
        summary, _ = run_pipeline(backend, video, sinks)
    samples = [memory.at(index / 20) for index in range(1, 21)]
    settled = np.array(samples[1:])
    deviation = float(np.abs(settled / np.median(settled) - 1.0).max() * 100.0)
    return {"frames": summary.frames, "resident_mib": samples, "largest_deviation_percent": round(deviation, 2)}


def main() -> None:
    """Measure rates, latencies and memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--memory-frames", type=int, default=20000)
    options = parser.parse_args()
    cv2.setNumThreads(1)  # as `br2net camera` does where inference has all cores
    paths = [find_model(name) for name in MODELS]
    result: dict[str, object] = {"environment": environment("openvino", "opencv-python")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = make_video(folder / "video.mp4", options.frames)
        result["rates"] = [measure_rates(path, video, options.frames, options.rounds, folder) for path in paths]
        live = make_video(folder / "live.mp4", max(options.frames, 300))
        result["live"] = [measure_live(path, live) for path in paths]
        if options.memory_frames:
            result["memory"] = measure_memory(make_video(folder / "long.mp4", options.memory_frames), folder)
    save(options.result, result)


if __name__ == "__main__":
    main()
