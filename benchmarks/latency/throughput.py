"""Throughput with several streams, and the cost of other batch and input sizes."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np

from br2net.benchmarks.latency.record import SweepPoint, Throughput
from br2net.benchmarks.latency.statistics import describe
from br2net.benchmarks.latency.timing import Method, Series, time_interleaved, time_request
from br2net.runtime.backend import Backend
from br2net.types import Frame


def measure_throughput(
    backends: Sequence[Backend], frames: Sequence[Frame], threads_each: int, seconds: float
) -> Throughput:
    """Run several streams at once, each in its own thread, as a program with several cameras would.

    Args:
        backends: one for each stream; the same one several times where it computes several batches side by side.
        frames: frames of one batch.
        threads_each: each stream's share of the processor's threads, to be noted.
        seconds: time to measure for; every stream finishes the batch that it is at.

    Raises:
        Br2netError: if a stream raised it.
    """
    start = threading.Barrier(len(backends) + 1)
    stop = threading.Event()

    def work(backend: Backend) -> list[float]:
        times = []
        try:
            time_request(backend, frames)
            start.wait()
            while not stop.is_set():
                times.append(time_request(backend, frames).end_to_end)
        except threading.BrokenBarrierError:  # another stream failed and reports why
            pass
        except BaseException:
            start.abort()
            raise
        return times

    with ThreadPoolExecutor(len(backends)) as pool:
        streams = [pool.submit(work, backend) for backend in backends]
        try:
            with suppress(threading.BrokenBarrierError):
                start.wait()
                began = time.perf_counter()
                stop.wait(seconds)
        finally:
            stop.set()
            start.abort()  # releases streams that wait to start, where this is interrupted
        done = [value for stream in streams for value in stream.result()]
        elapsed = time.perf_counter() - began
    median = float(np.median(done)) if done else 0.0
    return Throughput(len(backends), threads_each, len(done) * len(frames) / elapsed, median)


def measure_point(backend: Backend, frames: Sequence[Frame], method: Method) -> SweepPoint:
    """Time one batch size at the size that `backend` was opened for; figures are those of one image."""
    series, count = Series(), len(frames)
    time_interleaved([lambda: time_request(backend, frames)], method, [series])
    samples = series.samples
    ends = describe([sample.end_to_end for sample in samples])

    def median(*names: str) -> float:
        return float(np.median([sum(sample.stages.get(name, 0.0) for name in names) for sample in samples])) / count

    return SweepPoint(
        backend.width,
        backend.height,
        count,
        median("preprocess"),
        median("transfer", "inference"),
        median("postprocess"),
        ends.p50 / count,
        ends.cv,
    )
