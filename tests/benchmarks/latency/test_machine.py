"""Environment, conditions and energy, read from files laid out as Linux lays them out."""

import itertools
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from br2net.benchmarks.latency.conditions import Conditions, between, snapshot
from br2net.benchmarks.latency.environment import read_environment
from br2net.benchmarks.latency.memory import MemoryJob, measure_memory
from br2net.benchmarks.latency.power import (
    NvmlMeter,
    RailMeter,
    RaplMeter,
    find_meter,
    find_rails,
    gpu_limits,
    measure_energy,
)


def put(path: Path, text: str | int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def put_stat(root: Path, busy: int, steal: int) -> None:
    put(root / "proc/stat", f"cpu  {busy} 0 0 900 0 0 0 {steal} 0 0\ncpu0 1 2 3\n")


def test_what_other_programs_used_is_told_from_ones_own(tmp_path: Path) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    put_stat(tmp_path, 100 * ticks, 0)
    before = snapshot(tmp_path)
    put_stat(tmp_path, 108 * ticks, 1 * ticks)
    after = snapshot(tmp_path)
    ten = type(after)(before.seconds + 10.0, after.busy, after.stolen, before.own + 5.0, (), None, 0)
    found = between(before, ten, cores=2)
    assert found.others_share == pytest.approx(3.0 / 20.0)
    assert found.stolen_share == pytest.approx(1.0 / 20.0)
    assert len(found.warnings()) == 2


def test_clocks_heat_and_throttling_are_read(tmp_path: Path) -> None:
    cpu = tmp_path / "sys/devices/system/cpu/cpu0"
    put(cpu / "cpufreq/scaling_cur_freq", 1500000)
    put(cpu / "thermal_throttle/core_throttle_count", 3)
    put(tmp_path / "sys/class/thermal/thermal_zone0/temp", 45500)
    before = snapshot(tmp_path)
    put(cpu / "cpufreq/scaling_cur_freq", 900000)
    put(cpu / "thermal_throttle/core_throttle_count", 5)
    put(tmp_path / "sys/class/thermal/thermal_zone1/temp", 95500)
    found = between(before, snapshot(tmp_path), cores=1)
    assert (found.clocks_mhz, found.celsius, found.throttled) == ((900.0, 1500.0), 95.5, 2)
    assert "2 times because of heat" in " ".join(found.warnings())


def test_a_system_that_tells_nothing_gives_no_warning(tmp_path: Path) -> None:
    found = between(snapshot(tmp_path), snapshot(tmp_path), cores=1)
    assert found.others_share is found.stolen_share is found.celsius is found.clocks_mhz is None
    assert found.warnings() == []


def test_gpu_limits_are_told() -> None:
    assert "power cap" in Conditions(1.0, 0.0, 0.0, None, None, 0, ("power cap",)).warnings()[0]


def test_the_environment_is_read(tmp_path: Path) -> None:
    put(
        tmp_path / "proc/cpuinfo",
        "model name\t: Little CPU\nflags\t\t: fpu hypervisor avx2 avx512_bf16\n\nmodel name: other",
    )
    put(tmp_path / "proc/meminfo", "MemTotal:  2048 kB")
    put(tmp_path / "proc/device-tree/model", "NVIDIA Jetson Orin Nano\0")
    for index, size in enumerate(("32K", "2048K")):
        put(tmp_path / f"sys/devices/system/cpu/cpu0/cache/index{index}/size", size)
    found = read_environment(tmp_path)
    assert found.processor == "Little CPU (avx2, avx512_bf16)"
    assert found.virtual
    assert (found.memory_bytes, found.last_level_cache_bytes) == (2 << 20, 2 << 20)
    assert found.title() == "NVIDIA Jetson Orin Nano"
    assert found.packages["numpy"]


def rapl(root: Path, microjoules: int) -> Path:
    domain = root / "sys/class/powercap/intel-rapl:0"
    put(domain / "name", "package-0")
    put(domain / "max_energy_range_uj", 10_000_000)
    put(domain / "energy_uj", microjoules)
    return domain


def test_rapl_counts_on_when_its_counter_wraps(tmp_path: Path) -> None:
    domain = rapl(tmp_path, 9_000_000)
    meter = RaplMeter([domain])
    put(domain / "energy_uj", 9_500_000)
    assert meter.joules() == pytest.approx(0.5)
    put(domain / "energy_uj", 1_500_000)
    assert meter.joules() == pytest.approx(2.5)


def test_rapl_is_found_and_its_absence_is_explained(tmp_path: Path) -> None:
    meter, reason = find_meter(tmp_path)
    assert meter is None
    assert "no energy counter" in reason
    rapl(tmp_path, 5)
    meter, reason = find_meter(tmp_path)
    assert isinstance(meter, RaplMeter)
    assert reason == ""


def jetson(root: Path, rails: dict[str, tuple[int, int]]) -> Path:
    drivers = root / "sys/bus/i2c/drivers"
    sensor = drivers / "ina3221/1-0040/hwmon/hwmon3"
    for number, (name, (millivolts, milliamperes)) in enumerate(rails.items(), 1):
        put(sensor / f"in{number}_label", name)
        put(sensor / f"in{number}_input", millivolts)
        put(sensor / f"curr{number}_input", milliamperes)
    return drivers


def test_a_jetson_is_measured_at_the_rail_that_feeds_all(tmp_path: Path) -> None:
    drivers = jetson(tmp_path, {"VDD_IN": (5000, 2000), "VDD_CPU_GPU_CV": (5000, 900), "VDD_SOC": (5000, 500)})
    [rail] = find_rails(drivers)
    assert rail.name == "VDD_IN"
    assert rail.watts() == pytest.approx(10.0)


def test_without_such_a_rail_all_named_ones_are_added(tmp_path: Path) -> None:
    drivers = jetson(tmp_path, {"VDD_GPU_SOC": (19000, 1000), "VDD_CPU_CV": (19000, 500), "NC": (0, 0)})
    assert [rail.name for rail in find_rails(drivers)] == ["VDD_GPU_SOC", "VDD_CPU_CV"]


def test_rails_are_integrated_over_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rails = find_rails(jetson(tmp_path, {"VDD_IN": (5000, 2000)}))
    clock = itertools.count(100.0, 0.5)
    monkeypatch.setattr("br2net.benchmarks.latency.power.SAMPLE_SECONDS", 3600.0)
    monkeypatch.setattr("br2net.benchmarks.latency.power.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    with RailMeter(rails) as meter:
        assert meter.joules() == pytest.approx(5.0)
        assert meter.joules() == pytest.approx(10.0)


class Nvml:
    """NVML's counter of millijoules and its bits, as its documentation has them."""

    nvmlClocksEventReasonSwPowerCap = 0x4
    nvmlClocksEventReasonSwThermalSlowdown = 0x20
    bits = 0x20

    def __init__(self) -> None:
        self.millijoules = 7000

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        self.millijoules += 1500
        return self.millijoules

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: int) -> int:
        return self.bits


def test_nvml_counts_in_millijoules() -> None:
    meter = NvmlMeter(Nvml())
    assert meter.joules() + 1.5 == pytest.approx(meter.joules())


def test_reasons_of_lowered_gpu_clocks_are_named() -> None:
    assert gpu_limits(Nvml()) == ("heat",)


def test_energy_is_shared_out_among_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    fake: Any = SimpleNamespace(
        perf_counter=lambda: clock[0], sleep=lambda seconds: clock.__setitem__(0, clock[0] + seconds)
    )
    monkeypatch.setattr("br2net.benchmarks.latency.power.time", fake)
    meter: Any = SimpleNamespace(what="a fake of 8 W", joules=lambda: 8.0 * clock[0])
    found = measure_energy(meter, lambda: fake.sleep(0.25), images=2, seconds=1.0)
    assert found.watts == found.idle_watts == pytest.approx(8.0)
    assert found.joules_per_image == pytest.approx(1.0)


def test_memory_is_that_of_a_process_of_its_own(tiny_onnx: Path) -> None:
    ballast = bytearray(400 << 20)  # of this process, which must not count
    ballast[::4096] = b"x" * len(ballast[::4096])
    began = time.monotonic()
    found = measure_memory(MemoryJob(str(tiny_onnx), "onnxruntime", "auto", "auto", 64, 32, 1, 1))
    assert found is not None, f"after {time.monotonic() - began:.0f} s"
    assert 50 << 20 < found.host_bytes < 400 << 20
    assert found.device_bytes is None


def test_memory_of_what_does_not_load_is_unknown(tmp_path: Path) -> None:
    assert measure_memory(MemoryJob(str(tmp_path / "none.onnx"), "onnxruntime", "auto", "auto", 64, 32, 1, 1)) is None
