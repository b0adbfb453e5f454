"""The compiled pre- and postprocess against the OpenCV and NumPy sequences that they replace, on this CPU, in one run.

Run: `python -m benchmarks.scripts.kernels [RESULT.json]`. Ratios are those of medians, of the time that passed and of the CPU
time of all threads together, and of the least times; other work on the machine disturbs the first most.
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from benchmarks.scripts.common import clocked, environment, interleaved, save
from br2net.runtime.metadata import IMAGENET
from br2net.runtime.native import status
from br2net.runtime.native.installed import SWITCH
from br2net.runtime.postprocessing import Wanted, postprocess
from br2net.runtime.preprocessing import preprocess

WIDTH, HEIGHT = 1280, 720
ROUNDS, WARM_UP = 400, 5
LARGE_BLOCK = 31 << 20  # bytes; once one was freed, as after loading a model, glibc keeps memory of images for later
OUTPUTS = {
    "map": Wanted.MAP,
    "map, fraction and overlay": Wanted.MAP | Wanted.FRACTION | Wanted.OVERLAY,
    "all outputs": Wanted.MAP | Wanted.FRACTION | Wanted.OVERLAY | Wanted.GREY | Wanted.HISTOGRAM,
}


def compare(task: str, threads: int, work: Callable[[], object]) -> dict[str, object]:
    """Time `work` with and without the compiled library: milliseconds of both, and how many times as fast the library is."""

    def without_library() -> tuple[float, float]:
        os.environ[SWITCH] = "0"
        try:
            return clocked(work)
        finally:
            del os.environ[SWITCH]

    cv2.setNumThreads(threads)
    ways: dict[str, Callable[[], tuple[float, float]]] = {"opencv": without_library, "native": partial(clocked, work)}
    found = interleaved(ways, ROUNDS, WARM_UP)
    slow, fast = (np.array(found[name]) for name in ("opencv", "native"))
    facts: dict[str, object] = {"task": task, "threads": threads}
    for name, before, after in (
        ("", np.median(slow[:, 0]), np.median(fast[:, 0])),
        ("_least", slow[:, 0].min(), fast[:, 0].min()),
        ("_cpu", np.median(slow[:, 1]), np.median(fast[:, 1])),
    ):
        facts |= {f"opencv{name}_ms": round(float(before), 3), f"native{name}_ms": round(float(after), 3)}
        facts[f"ratio{name.replace('_', '_of_')}"] = round(float(before / after), 2)
    return facts


def measure(threads: int) -> list[dict[str, object]]:
    """Time all tasks at one number of threads."""
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    blur = np.asarray(cv2.resize(rng.random((24, 24), dtype=np.float32), (384, 384)), np.float32)
    tasks: dict[str, Callable[[], object]] = {
        f"preprocess {WIDTH}x{HEIGHT} -> {side}x{side}": partial(
            preprocess, [frame], side, side, IMAGENET, threads=threads
        )
        for side in (384, 320)
    }
    for name, wanted in OUTPUTS.items():
        work = partial(postprocess, blur, frame, (WIDTH, HEIGHT), wanted, threads=threads)
        tasks[f"{name} 384x384 -> {WIDTH}x{HEIGHT}"] = work
    return [compare(task, threads, work) for task, work in tasks.items()]


def main() -> None:
    """Measure with one and two threads."""
    os.environ.pop(SWITCH, None)
    state = status()
    if not state.used:
        sys.exit(f"The native part cannot be measured: {state.reason}.")
    np.zeros(LARGE_BLOCK, np.uint8).fill(1)
    facts = environment("opencv-python") | {"native": state.how}
    ratios = [item for threads in (1, 2) for item in measure(threads)]
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    save(path, {"environment": facts, "rounds": ROUNDS, "ratios": ratios})


if __name__ == "__main__":
    main()
