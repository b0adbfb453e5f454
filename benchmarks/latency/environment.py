"""What a measurement was made on: processor, memory, system, packages, GPU and power mode."""

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cv2

from br2net.runtime.gpu import find_gpu

PACKAGES = ("br2net", "numpy", "opencv-python", "openvino", "onnxruntime", "onnxruntime-gpu", "torch", "tensorrt")
VECTOR_FLAGS = ("asimd", "sve", "avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8")
ROOT = Path("/")


@dataclass(frozen=True)
class Environment:
    """Facts of this machine; empty where they cannot be read.

    Attributes:
        processor: name and vector extensions.
        cores: processors that this process may use.
        memory_bytes: of the machine.
        last_level_cache_bytes: the largest cache, as one core sees it.
        virtual: whether a hypervisor stands between: clocks and power are then hidden.
        board: name of a Jetson or another board.
        gpu: name and compute capability.
        power_mode: `nvpmodel` of a Jetson, otherwise the governor of the processor's clock.
        packages: versions.
    """

    processor: str
    cores: int
    memory_bytes: int
    last_level_cache_bytes: int
    virtual: bool
    board: str
    gpu: str
    power_mode: str
    system: str
    python: str
    packages: dict[str, str]

    def title(self) -> str:
        """In a few words, for a headline."""
        name = self.board or self.gpu or self.processor.split(" (")[0]
        return name if self.gpu or self.board else f"{name}, {self.cores} cores"


def read_environment(root: Path = ROOT) -> Environment:
    """Ask the system; `root` is where its files are."""
    cpu = facts(root / "proc/cpuinfo")
    gpu = find_gpu()
    return Environment(
        processor=processor(root),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cv2.getNumberOfCPUs(),
        memory_bytes=int(facts(root / "proc/meminfo").get("MemTotal", "0").split()[0]) * 1024,
        last_level_cache_bytes=max(
            map(_cache, (root / "sys/devices/system/cpu/cpu0/cache").glob("index*/size")), default=0
        ),
        virtual="hypervisor" in cpu.get("flags", "").split(),
        board=read(root / "proc/device-tree/model").rstrip("\0"),
        gpu="" if gpu is None else f"{gpu.name} ({gpu.compute_capability})",
        power_mode=_nvpmodel() or read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        packages={name: found for name in PACKAGES if (found := _version(name))},
    )


def read(path: Path) -> str:
    """Text of a small file of the system, stripped; empty where there is none or it may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def facts(path: Path) -> dict[str, str]:
    """Read the `name: value` lines of a file of `/proc`; of a repeated name, as in `cpuinfo`, the first value."""
    found: dict[str, str] = {}
    for line in read(path).splitlines():
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    return found


def processor(root: Path = ROOT) -> str:
    """Name of the processor, with the instructions that decide which precision is fast."""
    cpu = facts(root / "proc/cpuinfo")
    flags = (cpu.get("flags") or cpu.get("Features") or "").split()
    vectors = [flag for flag in VECTOR_FLAGS if flag in flags]
    name = cpu.get("model name") or platform.processor() or platform.machine()
    return f"{name} ({', '.join(vectors)})" if vectors else name


def _cache(size_file: Path) -> int:
    text = read(size_file)
    units = {"K": 1 << 10, "M": 1 << 20}
    return int(text[:-1]) * units[text[-1]] if text and text[-1] in units and text[:-1].isdigit() else 0


def _nvpmodel() -> str:
    """Power mode of a Jetson, as `MAXN_SUPER`; empty elsewhere."""
    program = shutil.which("nvpmodel")
    if program is None:
        return ""
    try:
        said = subprocess.run([program, "-q"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    modes = [line.partition(":")[2].strip() for line in said.splitlines() if "Power Mode" in line]
    return modes[0] if modes else ""
