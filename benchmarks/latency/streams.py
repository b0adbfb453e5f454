"""Throughput with several streams, and the cost of other batch and input sizes."""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from br2net.benchmarks.latency.pipeline import Pipeline
from br2net.benchmarks.latency.record import SweepPoint, Throughput
from br2net.benchmarks.latency.statistics import describe
from br2net.benchmarks.latency.timing import Method, Series, time_interleaved
from br2net.runtime.backend import Backend

Frames = list[NDArray[np.uint8]]


def measure_throughput(backends: Sequence[Backend], frames: Frames, threads_each: int, seconds: float) -> Throughput:
    """Run several pipelines at once, each in a thread of its own, as a program with several cameras would.

    Args:
        backends: one for each pipeline; the same one again and again where it computes several batches side by side.
        frames: of one batch.
        threads_each: each pipeline's share of the processor's threads, to be noted.
        seconds: to measure for; every pipeline finishes the batch that it is at.

    Raises:
        Br2netError: what a pipeline raised.
    """
    streams = len(backends)
    times: list[list[float]] = [[] for _ in backends]
    errors: list[BaseException] = []
    start = threading.Barrier(streams + 1)
    stop = threading.Event()

    def work(backend: Backend, own: list[float]) -> None:
        pipeline = Pipeline(backend, frames)
        try:
            pipeline.run()
            start.wait()
            while not stop.is_set():
                own.append(pipeline.run().end_to_end)
        except BaseException as error:
            errors.append(error)
            start.abort()

    workers = [threading.Thread(target=work, args=pair) for pair in zip(backends, times, strict=True)]
    for worker in workers:
        worker.start()
    try:
        with suppress(threading.BrokenBarrierError):  # then there is an error to raise
            start.wait()
        began = time.perf_counter()
        if not errors:
            stop.wait(seconds)
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    elapsed = time.perf_counter() - began
    if errors:
        raise next((error for error in errors if not isinstance(error, threading.BrokenBarrierError)), errors[0])
    done = [value for own in times for value in own]
    return Throughput(streams, threads_each, len(done) * len(frames) / elapsed, float(np.median(done)) if done else 0.0)


def measure_point(backend: Backend, frames: Frames, method: Method) -> SweepPoint:
    """Time one batch size at the size that `backend` was opened for; figures are those of one image."""
    series = Series()
    time_interleaved([Pipeline(backend, frames)], method, [series])
    samples, count = series.samples, len(frames)
    ends = describe([sample.end_to_end for sample in samples])

    def median(names: Sequence[str]) -> float:
        return float(np.median([sum(sample.stages.get(name, 0.0) for name in names) for sample in samples])) / count

    return SweepPoint(
        backend.width,
        backend.height,
        count,
        median(["preprocess"]),
        median(["transfer", "inference"]),
        median(["postprocess"]),
        ends.p50 / count,
        ends.cv,
    )
