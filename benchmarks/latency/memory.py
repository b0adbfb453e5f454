"""Memory that a model takes: a separate process loads it, runs it a few times, and reads its peak."""

import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from br2net.benchmarks.latency.environment import facts
from br2net.errors import Br2netError
from br2net.runtime.backend import InferenceOptions, detect
from br2net.runtime.backends import open_backend

RUNS = 3


@dataclass(frozen=True)
class Memory:
    """Peaks of one process, bytes. host: resident memory, Python and libraries included; device: None without a GPU."""

    host_bytes: int
    device_bytes: int | None


def measure_memory(path: Path, backend: str, options: InferenceOptions, batch: int) -> Memory | None:
    """Load and run a model in a fresh process; None where that fails, for example on systems without `/proc`."""
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(_measure, path, backend, options, batch).result()
    except (OSError, BrokenProcessPool, Br2netError):
        return None


def _measure(path: Path, name: str, options: InferenceOptions, batch: int) -> Memory:
    with open_backend(path, name, options) as backend:
        frames = [np.zeros((backend.height, backend.width, 3), np.uint8)] * batch
        for _ in range(RUNS):
            detect(backend, frames)
        return Memory(_peak(), _device_memory())


def _device_memory() -> int | None:
    """Return the bytes of GPU memory that this process holds, by NVML; None where there is no such library or GPU."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        processes = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except pynvml.NVMLError:
        return None
    used = [item.usedGpuMemory for item in processes if item.pid == os.getpid()]
    return used[0] if used and used[0] is not None else None


def _peak() -> int:
    """Return the largest resident memory of this process by the kernel; `getrusage` would count the parent's too."""
    peak = facts(Path("/proc/self/status")).get("VmHWM")
    if peak is None:
        raise OSError("This system does not know the peak of a process's memory.")
    return int(peak.split()[0]) * 1024
