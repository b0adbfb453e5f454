"""Speed of an INT8 file beside its float32 one on OpenVINO's CPU plugin, in float32 and bfloat16, in one run.

Run it by hand: `python -m benchmarks.scripts.int8 FLOAT32.onnx INT8.onnx … [--json RESULT.json]`; files come in pairs. Rounds
are interleaved, so that a machine whose speed drifts slows all alike; the ratio is the median over the rounds. Besides the
time on the clock it takes the processor time of this process, on one thread, which other work on the machine disturbs less.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from br2net.benchmarks.latency.environment import processor
from br2net.benchmarks.latency.statistics import speed_up
from br2net.benchmarks.latency.timing import Method, Sample, Series, time_interleaved
from br2net.builder.comparison import packaged_photograph
from br2net.builder.inspection import inspect_onnx
from br2net.files import write_text
from br2net.runtime.backend import Backend, InferenceOptions
from br2net.runtime.backends import open_backend
from br2net.runtime.preprocessing import preprocess

ITERATIONS = 60


@dataclass(frozen=True)
class Row:
    """One file in one precision, inference alone, batch 1.

    Attributes:
        model, file_bytes, macs: of the file.
        precision: of the file's remainder for INT8, as `int8+bf16`: what OpenVINO computes the float layers in.
        threads: 0 for all.
        clock: `wall`, or `processor` for the processor time of this process.
        median_ms: over all iterations.
        speed: how many times as fast as float32 in the same rounds, median, and 10th and 90th percentile of the rounds.
    """

    model: str
    file_bytes: int
    macs: int
    precision: str
    threads: int
    clock: str
    median_ms: float
    iterations: int
    speed: float
    speed_low: float
    speed_high: float


class _Contestant:
    """Inference of one photograph, by either clock."""

    def __init__(self, backend: Backend, by_processor: bool) -> None:
        self._backend = backend
        self._clock = time.process_time if by_processor else time.perf_counter
        frame = packaged_photograph()
        self._batch = preprocess([frame], backend.width, backend.height, backend.metadata.normalisation)

    def run(self) -> Sample:
        began = self._clock()
        self._backend.infer(self._batch)
        return Sample({}, (self._clock() - began) * 1000.0)


def compare_speed(float32: Path, int8: Path, by_processor: bool, iterations: int = ITERATIONS) -> list[Row]:
    """Time float32 in float32 and bfloat16, and INT8 with its remainder in both, against each other."""
    threads = 1 if by_processor else 0
    files = [(path, precision) for path in (float32, int8) for precision in ("fp32", "bf16")]
    backends = [
        open_backend(path, "openvino", InferenceOptions(precision=precision, threads=threads))
        for path, precision in files
    ]
    series = [Series() for _ in files]
    time_interleaved([_Contestant(item, by_processor) for item in backends], Method(3, iterations, 0.0), series)
    rows = []
    for (path, precision), backend, own in zip(files, backends, series, strict=True):
        ratio = speed_up(series[0].medians(), own.medians())
        is_int8 = backend.metadata.precision == "int8"
        rows.append(
            Row(
                model=backend.metadata.name,
                file_bytes=path.stat().st_size,
                macs=inspect_onnx(path).macs,
                precision=f"int8+{precision}" if is_int8 else precision,
                threads=threads,
                clock="processor" if by_processor else "wall",
                median_ms=round(float(np.median([sample.end_to_end for sample in own.samples])), 2),
                iterations=len(own.samples),
                speed=round(ratio.median, 3),
                speed_low=round(ratio.low, 3),
                speed_high=round(ratio.high, 3),
            )
        )
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Time pairs of files, print a table, and write JSON where a path was given."""
    parser = argparse.ArgumentParser(description="Speed of INT8 files beside their float32 ones on OpenVINO's CPU.")
    parser.add_argument("files", nargs="+", type=Path, help="float32 and INT8 file, in turn")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--iterations", type=int, default=ITERATIONS)
    options = parser.parse_args(arguments)
    if len(options.files) % 2:
        parser.error("files come in pairs: float32, then INT8")
    rows = []
    for float32, int8 in zip(options.files[::2], options.files[1::2], strict=True):
        for by_processor in (False, True):
            rows += compare_speed(float32, int8, by_processor, options.iterations)
    for row in rows:
        print(
            f"{row.model:<18} {row.precision:<10} {row.clock:<9} threads {row.threads or 'all':<3} "
            f"{row.median_ms:8.2f} ms  {row.speed:.2f} x float32 ({row.speed_low:.2f} to {row.speed_high:.2f})  "
            f"{row.file_bytes / 1e6:.2f} MB"
        )
    if options.json:
        environment = {
            "processor": processor(),
            "cpus": os.cpu_count(),
            "load_average": [round(value, 1) for value in os.getloadavg()],
            "python": platform.python_version(),
            **{name: version(name) for name in ("openvino", "numpy")},
        }
        write_text(
            options.json, json.dumps({"environment": environment, "rows": list(map(asdict, rows))}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
