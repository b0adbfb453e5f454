"""The compiled pre- and postprocess against the OpenCV and NumPy sequences that they replace, on this CPU, in one run.

Run it by hand: `python -m br2net.benchmarks.kernels [RESULT.json]`. Rounds are interleaved (A B A B …), so that a machine whose
speed drifts slows all alike. A ratio is that of the medians; the least times are given, too, for a machine with other work.
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

from br2net.benchmarks.forms import processor
from br2net.files import write_text
from br2net.runtime.metadata import IMAGENET
from br2net.runtime.native import status
from br2net.runtime.native.installed import SWITCH
from br2net.runtime.postprocessing import overlay, postprocess, to_frame_size, to_grey
from br2net.runtime.preprocessing import preprocess

WIDTH, HEIGHT = 1280, 720
ROUNDS = 200
WARM_UP = 5


@dataclass(frozen=True)
class Ratio:
    """One task at one number of threads: milliseconds of both, and how many times faster the compiled library is."""

    task: str
    threads: int
    opencv_median_ms: float
    native_median_ms: float
    opencv_least_ms: float
    native_least_ms: float
    ratio_of_medians: float
    ratio_of_least: float


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
    times: tuple[list[float], list[float]] = ([], [])
    for index in range(WARM_UP + ROUNDS):
        began = time.perf_counter()
        native()
        between = time.perf_counter()
        with without_library():
            usual()
        ended = time.perf_counter()
        if index >= WARM_UP:
            times[0].append((between - began) * 1000.0)
            times[1].append((ended - between) * 1000.0)
    (fast, slow), (least_fast, least_slow) = (tuple(float(of(item)) for item in times) for of in (np.median, min))
    return Ratio(
        task,
        threads,
        round(slow, 3),
        round(fast, 3),
        round(least_slow, 3),
        round(least_fast, 3),
        round(slow / fast, 2),
        round(least_slow / least_fast, 2),
    )


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
    results = [item for threads in (1, 2) for item in measure(threads)]
    for item in results:
        print(
            f"{item.task:<70} {item.threads} thread{'s' if item.threads > 1 else ' '} "
            f"{item.opencv_median_ms:8.2f} -> {item.native_median_ms:6.2f} ms, {item.ratio_of_medians:5.1f}x "
            f"(least {item.opencv_least_ms:.2f} -> {item.native_least_ms:.2f}, {item.ratio_of_least:.1f}x)"
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
