"""What may have disturbed a measurement: other programs, stolen time, heat, clocks that were lowered."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from br2net.benchmarks.latency.environment import ROOT, read

LARGEST_SHARE_OF_OTHERS = 0.05
HOT_CELSIUS = 90.0


@dataclass(frozen=True)
class Snapshot:
    """The state of the machine at one moment.

    Attributes:
        seconds: on a monotonic clock.
        busy, stolen: seconds that all processors were busy (with whatever), and were withheld by the hypervisor.
        own: seconds of processor time that this process and its ended children have used.
        clocks_mhz: of each processor, where they can be read.
        celsius: the hottest sensor.
        throttled: how often the processors' clocks were lowered because of heat.
    """

    seconds: float
    busy: float | None
    stolen: float | None
    own: float
    clocks_mhz: tuple[float, ...]
    celsius: float | None
    throttled: int


@dataclass(frozen=True)
class Conditions:
    """Between two snapshots.

    Attributes:
        others_share: of all processor time, what other programs used; None where it cannot be read.
        stolen_share: of all processor time, what the hypervisor withheld.
        clocks_mhz: lowest and highest clock at either moment.
        celsius: the hotter of the two moments.
        throttled: how often clocks were lowered because of heat, meanwhile.
        gpu_limits: why the GPU lowered its clocks, in NVML's words.
    """

    seconds: float
    others_share: float | None
    stolen_share: float | None
    clocks_mhz: tuple[float, float] | None
    celsius: float | None
    throttled: int
    gpu_limits: tuple[str, ...] = field(default=())

    def warnings(self) -> list[str]:
        """One sentence for each thing that makes figures doubtful."""
        said = []
        if self.others_share is not None and self.others_share > LARGEST_SHARE_OF_OTHERS:
            said.append(
                f"Other programs used {100 * self.others_share:.0f} % of the processor time: the machine was not idle, and "
                "times are longer than they would be alone."
            )
        if self.stolen_share is not None and self.stolen_share > LARGEST_SHARE_OF_OTHERS / 5:
            said.append(f"The hypervisor withheld {100 * self.stolen_share:.1f} % of the processor time.")
        if self.throttled:
            said.append(f"The processors lowered their clocks {self.throttled} times because of heat.")
        if self.celsius is not None and self.celsius > HOT_CELSIUS:
            said.append(f"The hottest sensor stood at {self.celsius:.0f} °C.")
        if self.gpu_limits:
            said.append(f"The GPU lowered its clocks: {', '.join(self.gpu_limits)}.")
        return said


def snapshot(root: Path = ROOT) -> Snapshot:
    """Read the state of the machine; `root` is where the system's files are."""
    busy, stolen = _processor_seconds(read(root / "proc/stat"))
    cpus = root / "sys/devices/system/cpu"
    zones = [read(path) for path in (root / "sys/class/thermal").glob("thermal_zone*/temp")]
    heat = [int(text) / 1000.0 for text in zones if text.lstrip("-").isdigit()]
    counts = [read(path) for path in cpus.glob("cpu*/thermal_throttle/core_throttle_count")]
    clocks = [read(path) for path in sorted(cpus.glob("cpu*/cpufreq/scaling_cur_freq"))]
    times = os.times()
    return Snapshot(
        seconds=time.monotonic(),
        busy=busy,
        stolen=stolen,
        own=times.user + times.system + times.children_user + times.children_system,
        clocks_mhz=tuple(int(text) / 1000.0 for text in clocks if text.isdigit()),
        celsius=max(heat, default=None),
        throttled=sum(int(text) for text in counts if text.isdigit()),
    )


def between(before: Snapshot, after: Snapshot, cores: int, gpu_limits: tuple[str, ...] = ()) -> Conditions:
    """What happened between two snapshots of a machine of `cores` processors."""
    total = max((after.seconds - before.seconds) * cores, 1e-9)
    others = stolen = None
    if before.busy is not None and after.busy is not None:
        others = max(after.busy - before.busy - (after.own - before.own), 0.0) / total
    if before.stolen is not None and after.stolen is not None:
        stolen = max(after.stolen - before.stolen, 0.0) / total
    clocks = before.clocks_mhz + after.clocks_mhz
    heat = [item.celsius for item in (before, after) if item.celsius is not None]
    return Conditions(
        seconds=after.seconds - before.seconds,
        others_share=others,
        stolen_share=stolen,
        clocks_mhz=(min(clocks), max(clocks)) if clocks else None,
        celsius=max(heat, default=None),
        throttled=after.throttled - before.throttled,
        gpu_limits=gpu_limits,
    )


def _processor_seconds(stat: str) -> tuple[float | None, float | None]:
    """Busy and stolen seconds of all processors, from `/proc/stat`, whose columns proc(5) names."""
    first = stat.splitlines()[0].split() if stat else []
    if len(first) < 9 or first[0] != "cpu":
        return None, None
    user, nice, system, _idle, _wait, irq, softirq, steal = (int(item) for item in first[1:9])
    ticks = float(os.sysconf("SC_CLK_TCK"))
    return (user + nice + system + irq + softirq) / ticks, steal / ticks
