"""Bulk runs on this machine: images a second on one processor and on two, and memory over many images.

Run it by hand: `python -m benchmarks.scripts.bulk RESULT.json IMAGES [--many 20000]`. Each run is a separate process, held to
its processors, and the rounds are interleaved. The many images are links to a few small ones, scored at 96x96, so that what
grows with their number shows.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.scripts.common import ResidentMemory, clocked, environment, interleaved, median, save
from br2net.builder.comparison import packaged_photograph
from br2net.bulk import ModelChoice, run_bulk
from br2net.errors import InputError
from br2net.runtime.backend import InferenceOptions
from br2net.runtime.backends import open_backend
from br2net.zoo import find_model

ROUNDS, RUNS = 3, 20
SMALL = (96, 96)


def in_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """Run in a fresh process, and return its result."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def score(folder: str, cpus: int) -> tuple[float, float, float]:
    """Return images a second, the share of that time in which no inference runs, and CPU milliseconds of each image."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cpus])
    cv2.setNumThreads(cpus)
    with (
        open_backend(find_model("mobile"), options=InferenceOptions(threads=cpus)) as backend,
        backend.request() as request,
    ):
        request.prepare([packaged_photograph()])
        run_ms = median([clocked(request.run)[0] for _ in range(RUNS)], 4)
    marks: list[tuple[int, float, float]] = []  # images, seconds and CPU seconds so far; the first is after loading

    def note(done: int, total: int | None) -> None:
        marks.append((done, time.perf_counter(), time.process_time()))

    with tempfile.TemporaryDirectory() as output:
        run_bulk([folder], output, ModelChoice(threads=cpus), progress=note)
    images, seconds, cpu_seconds = (last - first for first, last in zip(marks[0], marks[-1], strict=True))
    if not images:
        raise InputError(f"{folder} must hold more images than one group of the bulk run, got {marks[0][0]}.")
    rate, cpu_ms = images / seconds, 1000.0 * cpu_seconds / images
    return rate, 1.0 - rate * run_ms / 1000.0, cpu_ms


def remember(folder: str, output: str, model: str) -> dict[str, float]:
    """Return resident MiB after a tenth of a run, after half, and at its end, and images a second."""
    with ResidentMemory() as memory:
        summary = run_bulk([folder], output, ModelChoice(model, threads=1))
    moments = {"at_tenth_mib": 0.1, "at_half_mib": 0.5, "at_end_mib": 1.0}
    rate = round(summary.images / summary.seconds, 1)
    return {"images_per_second": rate, **{name: memory.at(share) for name, share in moments.items()}}


def measure_memory(folder: Path, count: int) -> dict[str, float]:
    """Score links to fifty small images, each with another name, in folders of a thousand."""
    from br2net.builder.export import ExportOptions, export_onnx
    from br2net.network import load_checkpoint

    rng = np.random.default_rng(0)
    originals = [folder / f"{number}.png" for number in range(50)]
    for original in originals:
        cv2.imwrite(str(original), rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    for number, original in enumerate(islice(cycle(originals), count)):
        link = folder / "many" / f"{number // 1000:03d}" / f"{number:06d}.png"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.hardlink_to(original)
    model = folder / "small.onnx"
    export_onnx(load_checkpoint(find_model("mobile").with_suffix(".pth")), model, ExportOptions(size=SMALL))
    found: dict[str, float] = in_process(remember, str(folder / "many"), str(folder / "out"), str(model))
    return {"images": count, **found}


def main() -> None:
    """Measure speed and memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, metavar="RESULT.json")
    parser.add_argument("images", metavar="IMAGES", help="a folder of photographs")
    parser.add_argument("--many", type=int, default=20_000, help="images of the memory run")
    options = parser.parse_args()
    facts = environment("openvino")
    counts = sorted({1, min(2, len(os.sched_getaffinity(0)))})
    ways = {str(cpus): partial(in_process, score, options.images, cpus) for cpus in counts}
    names = ("images_per_second", "outside_inference", "cpu_ms_per_image")
    speeds = [
        {
            "cpus": int(cpus),
            **{name: median(column, 3) for name, column in zip(names, zip(*runs, strict=True), strict=True)},
        }
        for cpus, runs in interleaved(ways, ROUNDS, warm_up=0).items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        memory = measure_memory(Path(folder), options.many)
    save(options.result, {"environment": facts, "speeds": speeds, "memory": memory})


if __name__ == "__main__":
    main()
