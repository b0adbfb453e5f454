"""Memory that a model takes: a process of its own loads it, runs it a few times, and tells its peak.

Run as a program: `python -m br2net.benchmarks.latency.memory REQUEST`, the request being the JSON of `Request`.
"""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from br2net.benchmarks.latency.environment import read
from br2net.runtime.backend import InferenceOptions
from br2net.runtime.backends import open_backend

RUNS = 3
TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class Request:
    """What to load and run."""

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


def measure_memory(request: Request) -> Memory | None:
    """Run the request in a process of its own; None where that fails, as on systems without `/proc`."""
    command = [sys.executable, "-m", "br2net.benchmarks.latency.memory", json.dumps(asdict(request))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True)
        return Memory(**json.loads(done.stdout.splitlines()[-1]))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def _device_memory() -> int | None:
    """Bytes of the GPU's memory that this process holds, by NVML; None where there is no such library or GPU."""
    try:
        import pynvml
    except ImportError:
        return None
    import os

    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        processes = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except pynvml.NVMLError:
        return None
    used = [item.usedGpuMemory for item in processes if item.pid == os.getpid()]
    return used[0] if used and used[0] is not None else None


def _peak() -> int:
    """Largest resident memory of this process; the kernel's own note, since `getrusage` counts the parent's too."""
    for line in read(Path("/proc/self/status")).splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("this system does not tell the peak of a process's memory")


def main() -> None:
    """Load, run, and print the peaks as one line of JSON."""
    request = Request(**json.loads(sys.argv[1]))
    options = InferenceOptions(request.device, request.precision, (request.width, request.height), request.threads)
    with open_backend(Path(request.path), request.backend, options) as backend:
        batch = np.zeros((request.batch, 3, backend.height, backend.width), np.float32)
        for _ in range(RUNS):
            backend.infer(batch)
        device = _device_memory()
    print(json.dumps(asdict(Memory(_peak(), device))))


if __name__ == "__main__":
    main()
