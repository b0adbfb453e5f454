"""A report whose figures are known: the paper's network and a small one on three backends."""

import numpy as np
import pytest

from br2net.benchmarks.latency.conditions import Conditions
from br2net.benchmarks.latency.environment import Environment
from br2net.benchmarks.latency.memory import Memory
from br2net.benchmarks.latency.record import (
    Accuracy,
    Estimate,
    Failure,
    LayerTime,
    Limits,
    Report,
    Row,
    Setting,
    SweepPoint,
    Throughput,
    Times,
    Validation,
)
from br2net.benchmarks.latency.roofline import Copy, Peaks
from br2net.benchmarks.latency.statistics import describe, speed_up
from br2net.benchmarks.latency.timing import Method, Sample, Series

PEAKS = Peaks({"fp32": 110e9, "bf16": 220e9, "int8": 420e9}, (Copy(1 << 20, 150e9), Copy(1 << 29, 20e9)), "measured")
ROUNDS = 10


def make_series(median: float, share: dict[str, float], count: int, seed: int) -> Series:
    """Samples around a median, the stages being shares of the whole; right-skewed, as times are."""
    rng = np.random.default_rng(seed)
    times = median * (0.985 + rng.gamma(1.5, 0.012, count))
    samples = [Sample({name: part * float(value) for name, part in share.items()}, float(value)) for value in times]
    return Series([list(part) for part in np.array_split(np.array(samples, object), ROUNDS)])


def make_layers(count: int, seed: int, precision: str) -> tuple[LayerTime, ...]:
    """Steps of all intensities, at half of their bound or less."""
    rng = np.random.default_rng(seed)
    layers = []
    for index in range(count):
        moved = int(rng.lognormal(14.0, 1.0))
        macs = int(moved * rng.lognormal(2.2, 1.2)) if index % 4 else 0
        bound = PEAKS.bound_ms(macs, moved, precision)
        ms = float(bound * (1.2 + rng.gamma(2.0, 1.0)))
        kind = "Convolution" if macs else "Interpolate"
        layers.append(LayerTime(f"node_conv2d_{index}", kind, precision, ms, macs, moved, bound))
    return tuple(layers)


def make_report(scale: float = 1.0, seed: int = 0) -> Report:
    """A run; `scale` makes everything but the baseline slower, `seed` draws other samples."""
    cpu = {"preprocess": 0.1, "inference": 0.86, "postprocess": 0.04}
    big = {"preprocess": 0.002, "inference": 0.997, "postprocess": 0.001}
    plan = [
        ("paper", "resnext101", "plain", "torch", "fp32", 320, 700.0, 30, big, None),
        ("eager", "mobile", "plain", "torch", "fp32", 384, 58.0, 100, cpu, None),
        ("model", "resnext101", "restructured", "openvino", "bf16", 320, 136.0 * scale, 40, big, None),
        ("model", "resnext101", "restructured", "openvino", "fp32", 320, 279.0 * scale, 30, big, None),
        ("model", "mobile", "restructured", "openvino", "bf16", 384, 14.2 * scale, 400, cpu, 0.0471),
        ("model", "mobile", "restructured", "openvino", "fp32", 384, 24.9 * scale, 220, cpu, 0.0469),
        ("model", "mobile", "restructured", "onnxruntime", "fp32", 384, 28.1 * scale, 200, cpu, 0.0469),
    ]
    all_series = [make_series(item[6], item[8], item[7], seed + index) for index, item in enumerate(plan)]
    rows = []
    for index, (item, series) in enumerate(zip(plan, all_series, strict=True)):
        role, network, form, backend, precision, size, median, _, share, mae = item
        samples = series.samples
        eager = all_series[0] if network == "resnext101" else all_series[1]
        fast = role == "model" and precision == "bf16"
        rows.append(
            Row(
                Setting(
                    role=role,
                    name=network,
                    network=network,
                    form=form,
                    backend=backend,
                    device="CPU",
                    precision=precision,
                    width=size,
                    height=size,
                    batch=1,
                    file=f"{network}.onnx",
                    file_sha256="0" * 16,
                    weights="none (random weights)" if mae is None else "Shi's train set",
                ),
                Times(
                    describe([sample.end_to_end for sample in samples]),
                    {name: describe([sample.stages[name] for sample in samples]) for name in share},
                    faster_than_paper=speed_up(all_series[0].medians(), series.medians()) if index else None,
                    faster_than_eager=speed_up(eager.medians(), series.medians()) if role == "model" else None,
                ),
                Limits(
                    macs=48_650_000_000 if network == "resnext101" else 1_370_000_000,
                    bytes_moved=4.0e8 if network == "resnext101" else 6.0e7,
                    bounds_ms={"preprocess": 0.2, "inference": 0.45 * median, "postprocess": 0.1},
                    layers=make_layers(70, index, precision) if fast else (),
                ),
                memory=Memory((300 + 40 * index) << 20, None),
                accuracy=None if mae is None else Accuracy("cuhk, test100", 100, mae, 0.97),
                throughput=(Throughput(1, 2, 70.0, 14.2), Throughput(2, 1, 84.0, 23.5)) if fast else (),
                sweep=tuple(
                    SweepPoint(side, side, 1, 1.4, side**2 / 9000, 0.5, side**2 / 9000 + 1.9, 0.01)
                    for side in (256, 384, 448)
                )
                if fast and network == "mobile"
                else (),
            )
        )
    return Report(
        created="2026-01-02T03:04:05+00:00",
        command="br2net benchmark paper mobile --dataset cuhk --report out",
        interrupted="",
        method=Method(3, 30, 5.0),
        frame="1280x720",
        environment=Environment(
            "AMD EPYC (avx2, avx512f, avx512_bf16)",
            2,
            24 << 30,
            32 << 20,
            True,
            "",
            "",
            "",
            "Linux 6 x86_64",
            "3.11.9",
            {"openvino": "2026.4.1", "torch": "2.13.0"},
        ),
        conditions=Conditions(80.0, 0.01, 0.0, None, None, 0),
        peaks=PEAKS,
        gpu_peaks=None,
        rows=tuple(rows),
        failures=(Failure("x.engine (x.engine), TensorRT", "There is no NVIDIA driver here."),),
        notes=("Power and energy are unknown: this machine shows no energy counter.",),
        estimates=(
            Estimate("Jetson Orin Nano 8GB", "mobile", "restructured", "fp16", 0.98, 2.2, "NVIDIA, data sheet"),
        ),
        validations=(Validation("mobile, OpenVINO BF16", "resnext101, OpenVINO BF16", 12.0, 13.1),),
        series=tuple(all_series),
    )


@pytest.fixture
def report() -> Report:
    return make_report()
