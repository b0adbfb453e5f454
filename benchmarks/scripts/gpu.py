"""An engine on a GPU: CUDA graphs against enqueueing, one request after the other against several in flight.

Run it by hand, on a machine with a GPU: `python -m benchmarks.scripts.gpu MODEL.engine [RESULT.json]`. `br2net benchmark
MODEL.engine` has the rest: latency by stage, memory, energy, throughput of several streams. Device times are between CUDA
events and include the kernels before and after the network. It ends with one sentence and 2 where there is no GPU.
"""

import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.scripts.common import environment, interleaved, median, save
from br2net.errors import Br2netError
from br2net.runtime.backend import Backend, DeviceTimes, InferenceOptions, detect
from br2net.runtime.tensorrt import TensorRTBackend
from br2net.types import Frame

WIDTH, HEIGHT = 1280, 720  # of the frames
ROUNDS, WARM_UP, BATCHES = 50, 5, 20  # rounds that count, rounds before, batches of one round in flight


def time_device(backend: Backend, frames: Sequence[Frame]) -> DeviceTimes:
    """Compute one batch, and return the device's times."""
    with backend.request(len(frames)) as request:
        request.prepare(frames)
        request.run()
        request.finish()
        times = request.device_times()
    assert times is not None, f"the backend {backend.name} has no device clock"
    return times


def frames_per_second(backend: Backend, frames: Sequence[Frame], *, in_flight: bool) -> float:
    """Compute some batches, one after the other or with `backend.depth` in flight; frames to maps, by the clock."""
    batches = [frames] * BATCHES
    began = time.perf_counter()
    if in_flight:
        detect(backend, [frame for batch in batches for frame in batch])
    else:
        for batch in batches:
            detect(backend, batch)
    return BATCHES * len(frames) / (time.perf_counter() - began)


def measure(graphs: Backend, enqueued: Backend) -> dict[str, object]:
    """Compare one engine loaded with and without CUDA graphs."""
    frame = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    frames = [frame] * graphs.largest_batch
    backends = {"graph": graphs, "enqueued": enqueued}
    device = interleaved(
        {name: partial(time_device, backend, frames) for name, backend in backends.items()}, ROUNDS, WARM_UP
    )
    rates = interleaved(
        {
            "one_by_one": partial(frames_per_second, graphs, frames, in_flight=False),
            "in_flight": partial(frames_per_second, graphs, frames, in_flight=True),
        },
        ROUNDS // 5,
    )
    parts = ("upload_ms", "compute_ms", "download_ms", "enqueue_ms")
    return {
        "batch": len(frames),
        "device": {
            name: {part: median([getattr(item, part) for item in times], 4) for part in parts}
            for name, times in device.items()
        },
        "frames_per_second": {name: median(values, 1) for name, values in rates.items()},
    }


def main() -> None:
    """Measure an engine."""
    if len(sys.argv) < 2:
        sys.exit("usage: python -m benchmarks.scripts.gpu MODEL.engine [RESULT.json]")
    path, options = Path(sys.argv[1]), InferenceOptions()
    try:
        with (
            TensorRTBackend.load(path, options) as graphs,
            TensorRTBackend.load(path, options, graphs=False) as enqueued,
        ):
            facts = {"environment": environment(), "engine": path.name, "gpu": graphs.device}
            result = {**facts, **measure(graphs, enqueued)}
    except Br2netError as error:
        print(f"br2net: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    save(Path(sys.argv[2]) if len(sys.argv) > 2 else None, result)


if __name__ == "__main__":
    main()
