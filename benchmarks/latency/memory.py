"""Memory that a model takes: a separate process loads it, runs it a few times, and prints its peak.

Run as a program: `python -m br2net.benchmarks.latency.memory JOB`, where JOB is the JSON of `MemoryJob`.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from br2net.benchmarks.latency.environment import read
from br2net.runtime.backend import InferenceOptions, detect
from br2net.runtime.backends import open_backend

RUNS = 3
TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class MemoryJob:
    """A model to load and run."""

    path: str
    backend: str
    device: str
    precision: str
    width: int
    height: int
    batch: int
    threads: int


@dataclass(frozen=True)
class Memory:
    """Peaks of one process, bytes. host: resident memory, Python and libraries included; device: None without a GPU."""

    host_bytes: int
    device_bytes: int | None


def measure_memory(job: MemoryJob) -> Memory | None:
    """Run the job in a separate process; None where that fails, for example on systems without `/proc`."""
    command = [sys.executable, "-m", "br2net.benchmarks.latency.memory", json.dumps(asdict(job))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True)
        return Memory(**json.loads(done.stdout.splitlines()[-1]))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


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
    for line in read(Path("/proc/self/status")).splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("this system does not tell the peak of a process's memory")


def main() -> None:
    """Load, run, and print the peaks as one line of JSON."""
    job = MemoryJob(**json.loads(sys.argv[1]))
    options = InferenceOptions(job.device, job.precision, (job.width, job.height), job.threads)
    with open_backend(Path(job.path), job.backend, options) as backend:
        frames = [np.zeros((backend.height, backend.width, 3), np.uint8)] * job.batch
        for _ in range(RUNS):
            detect(backend, frames)
        device = _device_memory()
    print(json.dumps(asdict(Memory(_peak(), device))))


if __name__ == "__main__":
    main()
