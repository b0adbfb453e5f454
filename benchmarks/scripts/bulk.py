"""Bulk runs on this machine: images a second on one processor and on two, time outside inference, memory over many images.

Run it by hand: `python -m benchmarks.scripts.bulk RESULT.json IMAGES [--many 20000]`. Each run is a process of its own,
held to its processors, and the rounds are interleaved. The many images are links to a few small ones, scored by a model of
two convolutions, so that what grows with their number shows, and not what a network needs.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from br2net.benchmarks.latency.environment import processor
from br2net.files import write_text
from br2net.runtime.images import list_images
from br2net.runtime.metadata import IMAGENET, METADATA_KEY, ModelMetadata

ROUNDS = 3


@dataclass(frozen=True)
class Speed:
    """One number of processors: medians over the rounds.

    Attributes:
        cpus: that the process was held to.
        images_per_second: by the clock, loading the model left out.
        outside_inference: share of that time in which no inference ran, 0..1.
        cpu_ms_per_image: of all threads together; other work on the machine disturbs it least.
    """

    cpus: int
    images_per_second: float
    outside_inference: float
    cpu_ms_per_image: float


@dataclass(frozen=True)
class Memory:
    """Resident megabytes after a tenth of the images, after half, and after all of them."""

    images: int
    at_tenth_mb: float
    at_half_mb: float
    at_end_mb: float
    images_per_second: float


def in_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """Run in a fresh process, and give back what it returns."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def score(folder: str, cpus: int) -> tuple[float, float, float]:
    """Images a second, share outside inference, CPU milliseconds of each image."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cpus])
    cv2.setNumThreads(cpus)
    from br2net.bulk import BulkOptions, ModelChoice
    from br2net.bulk.sources import find_chunks
    from br2net.bulk.worker import Worker

    worker = Worker(ModelChoice(threads=cpus), BulkOptions())
    backend = worker._detector.backend
    infer, inside = backend.infer, [0.0]

    def timed(batch: Any) -> Any:
        began = time.perf_counter()
        try:
            return infer(batch)
        finally:
            inside[0] += time.perf_counter() - began

    backend.infer = timed  # type: ignore[method-assign]
    chunks = list(find_chunks([folder]))
    list(worker.run(chunks[:1]))  # warm
    inside[0] = 0.0
    began, cpu = time.perf_counter(), time.process_time()
    count = sum(len(result.rows) for result in worker.run(chunks))
    seconds = time.perf_counter() - began
    return count / seconds, 1.0 - inside[0] / seconds, 1000.0 * (time.process_time() - cpu) / count


def remember(folder: str, output: str, model: str, count: int) -> tuple[list[float], float]:
    """Resident megabytes at the three moments, and images a second, of a whole resumable run."""
    from br2net.bulk import ModelChoice, run_bulk

    seen: list[float] = []
    moments = [count // 10, count // 2, count]

    def watch(done: int, total: int | None) -> None:
        if len(seen) < len(moments) and done >= moments[len(seen)]:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
            seen.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)

    summary = run_bulk([folder], output, ModelChoice(model, threads=1), progress=watch)
    return seen, summary.images / summary.seconds


def make_model(path: Path) -> None:
    """A model of two convolutions, 64x32."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.normal(0.0, 0.6, shape).astype(np.float32), name)
        for name, shape in (("first", (4, 3, 3, 3)), ("second", (1, 4, 1, 1)))
    ]
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a", "second"], ["b"]),
        helper.make_node("Sigmoid", ["b"], ["blur"]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, 32, 64])
        for name, channels in (("image", 3), ("blur", 1))
    ]
    graph = helper.make_graph(nodes, "tiny", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    facts = ModelMetadata("tiny", "{}", "none", 64, 32, IMAGENET)
    helper.set_model_props(model, {METADATA_KEY: facts.to_json()})
    onnx.save(model, path)


def measure_memory(folder: Path, count: int) -> Memory:
    """Links to fifty small images, each a name of its own, in folders of a thousand."""
    rng = np.random.default_rng(0)
    originals = []
    for number in range(50):
        originals.append(folder / f"{number}.png")
        cv2.imwrite(str(originals[-1]), rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    for number, original in enumerate(islice(cycle(originals), count)):
        link = folder / "many" / f"{number // 1000:03d}" / f"{number:06d}.png"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.hardlink_to(original)
    make_model(folder / "tiny.onnx")
    seen, rate = in_process(remember, str(folder / "many"), str(folder / "out"), str(folder / "tiny.onnx"), count)
    return Memory(count, seen[0], seen[1], seen[2], rate)


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, metavar="RESULT.json")
    parser.add_argument("images", metavar="IMAGES", help="a folder of photographs")
    parser.add_argument("--many", type=int, default=20_000, help="images of the memory run")
    options = parser.parse_args()
    facts: dict[str, Any] = {
        "processor": processor(),
        "cpus": os.cpu_count(),
        "load_average_before": os.getloadavg()[0],
        "photographs": len(list_images([options.images])),
    }
    counts = sorted({1, min(2, len(os.sched_getaffinity(0)))})
    runs: dict[int, list[tuple[float, float, float]]] = {cpus: [] for cpus in counts}
    for _ in range(ROUNDS):
        for cpus in counts:
            runs[cpus].append(in_process(score, options.images, cpus))
    speeds = [Speed(cpus, *(float(value) for value in np.median(runs[cpus], axis=0))) for cpus in counts]
    for speed in speeds:
        print(
            f"{speed.cpus} CPU: {speed.images_per_second:.1f} images/s, {speed.outside_inference:.0%} of the time outside "
            f"inference, {speed.cpu_ms_per_image:.0f} ms of CPU an image"
        )
    with tempfile.TemporaryDirectory() as folder:
        memory = measure_memory(Path(folder), options.many)
    print(
        f"{memory.images} images: {memory.at_tenth_mb:.0f} MB after a tenth, {memory.at_half_mb:.0f} after half, "
        f"{memory.at_end_mb:.0f} at the end; {memory.images_per_second:.0f} images/s"
    )
    facts |= {"speeds": [asdict(speed) for speed in speeds], "memory": asdict(memory)}
    write_text(options.result, json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
