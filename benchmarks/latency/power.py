"""Energy that the machine takes, where it can be read: a Jetson's rails, NVML, RAPL."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from br2net.benchmarks.latency.environment import ROOT, read

SAMPLE_SECONDS = 0.05
WHOLE_BOARD_RAILS = ("VDD_IN", "POM_5V_IN", "VIN_SYS_5V0")  # names of the rail that feeds all others, by Jetson


class Meter(Protocol):
    """Counts joules. what: says what of the machine it sees."""

    what: str

    def joules(self) -> float:
        """Energy since some moment; only differences mean something."""


@dataclass(frozen=True)
class Energy:
    """Of one contestant that ran alone.

    Attributes:
        watts: on average while it ran.
        idle_watts: just before.
        joules_per_image: all of it, idle included.
        what: the part of the machine that was measured.
    """

    watts: float
    idle_watts: float
    joules_per_image: float
    what: str


def measure_energy(meter: Meter, run: Callable[[], object], images: int, seconds: float = 2.0) -> Energy:
    """Let the machine idle for a second, then run for `seconds`; `images` is how many one run does."""
    began, start = time.perf_counter(), meter.joules()
    time.sleep(1.0)
    idle = (meter.joules() - start) / (time.perf_counter() - began)
    began, start, done = time.perf_counter(), meter.joules(), 0
    while done == 0 or time.perf_counter() - began < seconds:
        run()
        done += images
    used = meter.joules() - start
    return Energy(used / (time.perf_counter() - began), idle, used / done, meter.what)


def find_meter(root: Path = ROOT) -> tuple["Meter | None", str]:
    """The best meter of this machine, or None and the reason."""
    rails = find_rails(root / "sys/bus/i2c/drivers")
    if rails:
        return RailMeter(rails), ""
    nvml = open_nvml()
    if nvml is not None:
        return NvmlMeter(nvml), ""
    domains = [
        path for path in (root / "sys/class/powercap").glob("intel-rapl:*") if read(path / "name").startswith("package")
    ]
    if not domains:
        return None, "this machine shows no energy counter (RAPL, NVML or a Jetson's rails)"
    if not all(read(path / "energy_uj") for path in domains):
        return None, "RAPL's counters may only be read by root here"
    return RaplMeter(domains), ""


class RaplMeter:
    """The processor packages, by the counters of the Linux powercap interface."""

    what = "processor packages (RAPL)"

    def __init__(self, domains: list[Path]) -> None:
        self._domains = domains
        self._last = [0] * len(domains)
        self._total = 0
        self._read(first=True)

    def joules(self) -> float:
        """Energy since this meter was made; to be called more often than the counters wrap (minutes)."""
        self._read()
        return self._total / 1e6

    def _read(self, first: bool = False) -> None:
        for index, path in enumerate(self._domains):
            now = int(read(path / "energy_uj") or self._last[index])
            moved = now - self._last[index]
            if moved < 0:
                moved += int(read(path / "max_energy_range_uj") or 0)
            self._total += 0 if first else moved
            self._last[index] = now


class NvmlMeter:
    """The GPU's board, by NVML's own counter (Volta and later). Not executed on a GPU by us."""

    what = "GPU board (NVML)"

    def __init__(self, nvml: Any, index: int = 0) -> None:
        self._nvml = nvml
        self._handle = nvml.nvmlDeviceGetHandleByIndex(index)

    def joules(self) -> float:
        """Energy since the driver was loaded."""
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1000.0


@dataclass(frozen=True)
class Rail:
    """One supply of a board: files with millivolts and milliamperes."""

    name: str
    millivolts: Path
    milliamperes: Path

    def watts(self) -> float:
        """Power at this moment."""
        return float(read(self.millivolts) or 0) * float(read(self.milliamperes) or 0) / 1e6


def find_rails(drivers: Path) -> list[Rail]:
    """A Jetson's rails by its INA3221 sensors: the one that feeds all others, or else all that have a name."""
    rails = []
    for label in sorted(drivers.glob("ina3221*/*/hwmon/hwmon*/in*_label")):
        number = label.name.removeprefix("in").removesuffix("_label")
        name = read(label)
        current = label.with_name(f"curr{number}_input")
        if name and name != "NC" and current.exists():
            rails.append(Rail(name, label.with_name(f"in{number}_input"), current))
    whole = [rail for rail in rails if rail.name in WHOLE_BOARD_RAILS]
    return whole[:1] or [rail for rail in rails if not rail.name.startswith("sum")]


class RailMeter:
    """Adds up the power of rails, read twenty times a second by a thread of its own. Not executed on a Jetson by us."""

    def __init__(self, rails: list[Rail]) -> None:
        self.what = f"board rails {', '.join(rail.name for rail in rails)}"
        self._rails = rails
        self._lock = threading.Lock()
        self._joules = 0.0
        self._last = time.perf_counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="power rails", daemon=True)
        self._thread.start()

    def joules(self) -> float:
        """Energy since this meter was made."""
        self._add()
        with self._lock:
            return self._joules

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()

    def __enter__(self) -> "RailMeter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self._add()

    def _add(self) -> None:
        watts = sum(rail.watts() for rail in self._rails)
        with self._lock:
            now = time.perf_counter()
            self._joules += watts * (now - self._last)
            self._last = now


def open_nvml() -> Any:
    """The module `pynvml`, initialised and with a GPU whose energy it counts; None where there is none."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByIndex(0))
    except pynvml.NVMLError:
        return None
    return pynvml


def gpu_limits(nvml: Any, index: int = 0) -> tuple[str, ...]:
    """Why the GPU's clocks are lowered at this moment, other than for want of work. Not executed on a GPU by us."""
    names = {
        "nvmlClocksEventReasonSwPowerCap": "power cap",
        "nvmlClocksEventReasonHwSlowdown": "hardware slowdown",
        "nvmlClocksEventReasonSwThermalSlowdown": "heat",
        "nvmlClocksEventReasonHwThermalSlowdown": "heat, by hardware",
        "nvmlClocksEventReasonHwPowerBrakeSlowdown": "power brake",
    }
    reasons = int(nvml.nvmlDeviceGetCurrentClocksEventReasons(nvml.nvmlDeviceGetHandleByIndex(index)))
    return tuple(text for name, text in names.items() if reasons & int(getattr(nvml, name, 0)))
