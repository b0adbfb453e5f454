"""Shared by the measurements: interleaved rounds, processor time, resident memory, and results as JSON."""

import json
import os
import platform
import threading
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from br2net.benchmarks.latency.environment import processor
from br2net.files import write_text

T = TypeVar("T")


def environment(*packages: str) -> dict[str, object]:
    """Return what the figures depend on: processor, load before the measurement, versions of Python and of packages."""
    return {
        "processor": processor(),
        "processors": len(os.sched_getaffinity(0)),
        "load_average": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", *packages)},
    }


def interleaved(ways: Mapping[str, Callable[[], T]], rounds: int, warm_up: int = 1) -> dict[str, list[T]]:
    """Run every way once in each round, so that a machine whose speed drifts slows all alike; return results by way."""
    results: dict[str, list[T]] = {name: [] for name in ways}
    for number in range(warm_up + rounds):
        for name, way in ways.items():
            result = way()
            if number >= warm_up:
                results[name].append(result)
    return results


def clocked(work: Callable[[], object]) -> tuple[float, float]:
    """Return the milliseconds that `work` takes, and those of CPU time of all threads, which other programs disturb less."""
    began, cpu_began = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - began) * 1000.0, (time.process_time() - cpu_began) * 1000.0


def median(values: ArrayLike, digits: int = 2) -> float:
    """Return the rounded median."""
    return round(float(np.median(np.asarray(values, np.float64))), digits)


class ResidentMemory:
    """Notes the resident memory of this process while its `with` block runs.

    Attributes:
        samples_mib: resident MiB, at even intervals.
    """

    def __init__(self, every_s: float = 0.5) -> None:
        self.samples_mib: list[float] = []
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="resident memory", daemon=True)

    def __enter__(self) -> "ResidentMemory":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(self._every_s):
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
            self.samples_mib.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)

    def at(self, share: float) -> float:
        """Return the resident MiB when this share of the time had passed, 0..1."""
        return round(self.samples_mib[int(share * (len(self.samples_mib) - 1))], 1) if self.samples_mib else 0.0


def save(path: Path | None, facts: Mapping[str, object]) -> None:
    """Print the figures one a line, and write them as JSON where a path was given."""
    for name, value in facts.items():
        for item in value if isinstance(value, list) else [value]:
            print(f"{name}: {item}", flush=True)
    if path is not None:
        write_text(path, json.dumps(facts, indent=2) + "\n")
