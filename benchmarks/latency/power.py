"""Energy that the machine takes, where it can be read: a Jetson's rails, NVML, RAPL."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from br2net.benchmarks.latency.environment import ROOT, read

SAMPLE_SECONDS = 0.05
WHOLE_BOARD_RAILS = ("VDD_IN", "POM_5V_IN", "VIN_SYS_5V0")  # names of the rail that feeds all others, by Jetson


class Meter(Protocol):
    """Counts joules. what: says what of the machine it sees."""

    what: str

    def joules(self) -> float:
        """Return the energy since some moment; only differences mean something."""


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
    """Let the machine idle for a second, then run for `seconds`; `images` is the number of images of one run."""
    idle_joules, idle_seconds, _ = _energy_while(meter, lambda: time.sleep(SAMPLE_SECONDS), 1.0)
    joules, elapsed, runs = _energy_while(meter, run, seconds)
    return Energy(joules / elapsed, idle_joules / idle_seconds, joules / (runs * images), meter.what)


def _energy_while(meter: Meter, work: Callable[[], object], seconds: float) -> tuple[float, float, int]:
    """Repeat `work`; return joules, seconds, and number of repetitions."""
    began, start, used, done = time.perf_counter(), meter.joules(), 0.0, 0
    while done == 0 or time.perf_counter() - began < seconds:
        work()
        used = meter.joules() - start
        done += 1
    return used, time.perf_counter() - began, done


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
        self._last = {path: int(read(path / "energy_uj") or 0) for path in domains}
        self._total = 0

    def joules(self) -> float:
        """Return the energy since this meter was made; to be called more often than the counters wrap (minutes)."""
        for path, last in self._last.items():
            now = int(read(path / "energy_uj") or last)
            self._total += now - last if now >= last else now - last + int(read(path / "max_energy_range_uj") or 0)
            self._last[path] = now
        return self._total / 1e6


class NvmlMeter:
    """The GPU's board, by NVML's own counter (Volta and later). Not executed on a GPU by us."""

    what = "GPU board (NVML)"

    def __init__(self, nvml: Any, index: int = 0) -> None:
        self._nvml = nvml
        self._handle = nvml.nvmlDeviceGetHandleByIndex(index)

    def joules(self) -> float:
        """Return the energy since the driver was loaded."""
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1000.0


@dataclass(frozen=True)
class Rail:
    """One supply of a board: files with millivolts and milliamperes."""

    name: str
    millivolts: Path
    milliamperes: Path

    def watts(self) -> float:
        """Return the power at this moment."""
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
    """Adds up the power of rails, read at each call. Not executed on a Jetson by us."""

    def __init__(self, rails: list[Rail]) -> None:
        self.what = f"board rails {', '.join(rail.name for rail in rails)}"
        self._rails = rails
        self._joules, self._last = 0.0, time.perf_counter()

    def joules(self) -> float:
        """Return the energy since this meter was made; to be called at least a few times a second."""
        now = time.perf_counter()
        self._joules += sum(rail.watts() for rail in self._rails) * (now - self._last)
        self._last = now
        return self._joules


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
