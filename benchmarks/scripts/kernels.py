"""The compiled pre- and postprocess against the OpenCV and NumPy sequences that they replace, on this CPU, in one run.

Run: `python -m benchmarks.scripts.kernels [RESULT.json]`. Rounds are interleaved (A B A B …), so that a machine whose
speed drifts slows all alike. Ratios are those of medians, of the time that passed and of the CPU time of all threads together,
and of the least times; other work on the machine disturbs the first most.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np

from br2net.benchmarks.latency.environment import processor
from br2net.files import write_text
from br2net.runtime.metadata import IMAGENET
from br2net.runtime.native import status
from br2net.runtime.native.installed import SWITCH
from br2net.runtime.postprocessing import overlay, postprocess, to_frame_size, to_grey
from br2net.runtime.preprocessing import preprocess

WIDTH, HEIGHT = 1280, 720
ROUNDS = 400
WARM_UP = 5
LARGE_BLOCK = (
    31 << 20
)  # bytes; once one was freed, as after loading a model, glibc keeps memory of images for the next ones


@dataclass(frozen=True)
class Ratio:
    """One task at one number of threads: milliseconds of both, and how many times faster the compiled library is."""

    task: str
    threads: int
    opencv_ms: float
    native_ms: float
    ratio: float
    opencv_least_ms: float
    native_least_ms: float
    ratio_of_least: float
    opencv_cpu_ms: float
    native_cpu_ms: float
    ratio_of_cpu: float


@contextmanager
def without_library() -> Iterator[None]:
    """As if nothing had been compiled."""
    os.environ[SWITCH] = "0"
    try:
        yield
    finally:
        del os.environ[SWITCH]


def compare(task: str, threads: int, native: Callable[[], object], usual: Callable[[], object]) -> Ratio:
    """Time both in turn."""
    cv2.setNumThreads(threads)
    samples: list[tuple[float, float, float, float]] = []  # time that passed and CPU time of either, ms
    for _ in range(WARM_UP + ROUNDS):
        with without_library():
            slow = timed(usual)
        samples.append((*slow, *timed(native)))
    times = np.array(samples[WARM_UP:])
    slow_ms, slow_cpu_ms, fast_ms, fast_cpu_ms = (float(value) for value in np.median(times, axis=0))
    least_slow_ms, _, least_fast_ms, _ = (float(value) for value in times.min(axis=0))
    figures = []
    for before, after in ((slow_ms, fast_ms), (least_slow_ms, least_fast_ms), (slow_cpu_ms, fast_cpu_ms)):
        figures += [round(before, 3), round(after, 3), round(before / after, 2)]
    return Ratio(task, threads, *figures)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds that pass, and of CPU time of all threads."""
    began, cpu_began = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - began) * 1000.0, (time.process_time() - cpu_began) * 1000.0


def measure(threads: int) -> list[Ratio]:
    """All tasks at one number of threads."""
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    coarse = rng.random((24, 24), dtype=np.float32)
    blur = to_frame_size(coarse, 384, 384)
    results = []
    for side in (384, 320):

        def before(side: int = side) -> object:
            return preprocess([frame], side, side, IMAGENET, threads=threads)

        results.append(compare(f"preprocess {WIDTH}x{HEIGHT} -> {side}x{side}", threads, before, before))

    def usual_overlay() -> object:
        full = to_frame_size(blur, WIDTH, HEIGHT)
        return overlay(frame, full), np.count_nonzero(full >= 0.5)

    def usual_pictures() -> object:
        full = to_frame_size(blur, WIDTH, HEIGHT)
        grey = to_grey(full)
        histogram = cv2.calcHist([grey], [0], None, [256], [0, 256])
        return overlay(frame, full), np.count_nonzero(full >= 0.5), histogram

    to = f"384x384 -> {WIDTH}x{HEIGHT}"
    after: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        (
            f"map {to}",
            lambda: to_frame_size(blur, WIDTH, HEIGHT, threads=threads),
            lambda: to_frame_size(blur, WIDTH, HEIGHT),
        ),
        (
            f"map, fraction and overlay {to}",
            lambda: postprocess(blur, WIDTH, HEIGHT, frame=frame, threads=threads),
            usual_overlay,
        ),
        (
            f"map, fraction, overlay, grey levels and histogram {to}",
            lambda: postprocess(blur, WIDTH, HEIGHT, frame=frame, grey=True, histogram=True, threads=threads),
            usual_pictures,
        ),
    ]
    return results + [compare(task, threads, native, usual) for task, native, usual in after]


def main() -> None:
    """Measure with one and two threads, print the table, and write JSON where a path was given."""
    os.environ.pop(SWITCH, None)
    state = status()
    if not state.used:
        sys.exit(f"The native part cannot be measured: {state.reason}.")
    np.zeros(LARGE_BLOCK, np.uint8).fill(1)
    results = [item for threads in (1, 2) for item in measure(threads)]
    for item in results:
        print(
            f"{item.task:<70} {item.threads} thread{'s' if item.threads > 1 else ' '} "
            f"{item.opencv_ms:7.2f} -> {item.native_ms:5.2f} ms, {item.ratio:4.1f}x; "
            f"least {item.opencv_least_ms:6.2f} -> {item.native_least_ms:5.2f} ms, {item.ratio_of_least:4.1f}x; "
            f"CPU {item.opencv_cpu_ms:6.2f} -> {item.native_cpu_ms:5.2f} ms, {item.ratio_of_cpu:4.1f}x"
        )
    if len(sys.argv) > 1:
        environment = {
            "processor": processor(),
            "processors": os.cpu_count(),
            "load_average": round(os.getloadavg()[0], 1),
            "native": state.how,
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "opencv-python")},
        }
        result = {"environment": environment, "rounds": ROUNDS, "ratios": [asdict(item) for item in results]}
        write_text(Path(sys.argv[1]), json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
