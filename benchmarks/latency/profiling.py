"""How long each step of a network takes, as the backend executes it."""

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from br2net.benchmarks.latency.record import LayerTime
from br2net.benchmarks.latency.roofline import Peaks
from br2net.benchmarks.latency.work import Work
from br2net.runtime.backend import InferenceOptions
from br2net.runtime.openvino.core import shared_core

RUNS = 10
PRECISION_NAMES = {"f32": "fp32", "bf16": "bf16", "f16": "fp16", "i8": "int8", "u8": "int8"}
UNCOUNTED = ("Input", "Const", "Output", "Parameter", "Result")


def profile_openvino(
    path: Path, options: InferenceOptions, batch: NDArray[np.float32], work: Work, peaks: Peaks
) -> tuple[LayerTime, ...]:
    """Steps of an ONNX file on the processor, in the order of execution.

    OpenVINO fuses layers; a step has the multiply-accumulates of all layers in it, the bytes of its own inputs (weights
    included) and outputs, and the precision that it was run in.

    Args:
        path: the file.
        options: as the backend had them.
        batch: network input.
        work: of the file, for its layers' multiply-accumulates by name.
        peaks: of this machine.
    """
    import openvino

    hints = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "PERF_COUNT": True}
    if options.precision in hints:
        settings["INFERENCE_PRECISION_HINT"] = hints[options.precision]
    if options.threads:
        settings |= {"INFERENCE_NUM_THREADS": options.threads, "ENABLE_CPU_PINNING": False}
    core = shared_core(openvino.Core)
    model = core.read_model(path)
    model.reshape(list(batch.shape))
    compiled = core.compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    times: dict[str, list[float]] = defaultdict(list)
    for run in range(RUNS + 2):
        request.infer([batch], share_inputs=True)
        for item in request.get_profiling_info() if run >= 2 else ():
            times[item.node_name].append(item.real_time.total_seconds() * 1000.0)
    macs = {layer.name: layer.macs for layer in work.layers}
    steps = []
    for node in compiled.get_runtime_model().get_ordered_ops():
        facts = {key: str(value.value) for key, value in node.get_rt_info().items() if hasattr(value, "value")}
        name, kind = node.get_friendly_name(), facts.get("layerType", "")
        if kind in UNCOUNTED or name not in times:
            continue
        median = float(np.median(times[name]))
        if median <= 0.0:  # done once when compiling, or inside another step
            continue
        precision = PRECISION_NAMES.get(facts.get("runtimePrecision", ""), "fp32")
        moved = sum(_bytes(port) for port in (*node.inputs(), *node.outputs()))
        multiplied = sum(macs.get(part, 0) for part in facts.get("originalLayersNames", "").split(",")) * len(batch)
        bound = peaks.bound_ms(multiplied, moved, precision)
        steps.append(LayerTime(name.removesuffix("/WithoutBiases"), kind, precision, median, multiplied, moved, bound))
    return tuple(steps)


def farthest(layers: tuple[LayerTime, ...], count: int = 10) -> list[LayerTime]:
    """The steps that lose the most time against their bound, the worst first."""
    return sorted(layers, key=lambda layer: layer.ms - layer.bound_ms, reverse=True)[:count]


def _bytes(port: Any) -> int:
    """Of one input or output, at its own element type."""
    return int(math.prod(port.get_shape())) * int(port.get_element_type().size)
