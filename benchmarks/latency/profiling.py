"""Time of each step of a network as OpenVINO and TensorRT execute it. TensorRT's part was not executed on a GPU by us."""

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from br2net.benchmarks.latency.record import LayerTime
from br2net.benchmarks.latency.roofline import Peaks
from br2net.benchmarks.latency.work import ELEMENT_BYTES, Work
from br2net.builder.engine.inspection import precision_of
from br2net.runtime.backend import InferenceOptions
from br2net.runtime.openvino.core import shared_core
from br2net.types import Batch

RUNS = 10
PRECISION_NAMES = {"f32": "fp32", "bf16": "bf16", "f16": "fp16", "i8": "int8", "u8": "int8"}
ONNX_NAME = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
UNCOUNTED = ("Input", "Const", "Output", "Parameter", "Result")


def profile_openvino(
    path: Path, options: InferenceOptions, shape: tuple[int, int, int, int], work: Work, peaks: Peaks
) -> tuple[LayerTime, ...]:
    """Steps of an ONNX file on the processor, in the order of execution.

    OpenVINO fuses layers; a step has the multiply-accumulates of all layers in it, the bytes of its own inputs (weights
    included) and outputs, and the precision that it was run in.

    Args:
        path: the file.
        options: as the backend had them.
        shape: network input, `(N, 3, h, w)`.
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
    model.reshape(list(shape))
    compiled = core.compile_model(model, "CPU", settings)
    request, batch = compiled.create_infer_request(), _batch(shape)
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
        moved = sum(_port_bytes(port) for port in (*node.inputs(), *node.outputs()))
        multiplied = sum(macs.get(part, 0) for part in facts.get("originalLayersNames", "").split(",")) * shape[0]
        bound = peaks.bound_ms(multiplied, moved, precision)
        steps.append(LayerTime(name.removesuffix("/WithoutBiases"), kind, precision, median, multiplied, moved, bound))
    return tuple(steps)


def _batch(shape: tuple[int, ...]) -> Batch:
    """Return numbers as a normalised photograph has them; times do not depend on them."""
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def _port_bytes(port: Any) -> int:
    return int(math.prod(port.get_shape())) * int(port.get_element_type().size)


def profile_tensorrt(engine: Path, shape: tuple[int, int, int, int], work: Work, peaks: Peaks) -> tuple[LayerTime, ...]:
    """Layers of an engine that was built with detailed profiling verbosity, as `br2net build` does.

    Args:
        engine: the file.
        shape: network input, `(N, 3, h, w)`.
        work: work of the ONNX file that the engine was built from.
        peaks: peak rates of the GPU.
    """
    from polygraphy.backend.trt import TrtRunner

    from br2net.builder.engine.execution import load_plan
    from br2net.runtime.tensorrt.api import trt

    base: Any = trt.IProfiler  # type: ignore[attr-defined]  # the stubs leave it out

    class Profiler(base):  # type: ignore[misc]
        """Collects what TensorRT reports after each run."""

        def __init__(self) -> None:
            base.__init__(self)
            self.times: dict[str, list[float]] = defaultdict(list)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.times[layer_name].append(ms)

    plan, batch = load_plan(engine.read_bytes()), _batch(shape)
    profiler = Profiler()
    with TrtRunner(plan) as runner:
        for run in range(RUNS + 2):
            if run == 2:
                runner.context.profiler = profiler
            runner.infer({"image": batch}, copy_outputs_to_host=False)
    information = plan.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    medians = {name: float(np.median(times)) for name, times in profiler.times.items()}
    return layer_times(information, medians, work, peaks, shape[0])


def layer_times(
    inspector_json: str, medians: Mapping[str, float], work: Work, peaks: Peaks, images: int
) -> tuple[LayerTime, ...]:
    """Put the profiler's times and the inspector's layers together.

    A layer has the multiply-accumulates of all ONNX nodes that it was fused from, and the bytes of its inputs, outputs and
    weights; layers that the profiler has no time for are left out.

    Args:
        inspector_json: inspector's output for an engine with detailed profiling verbosity.
        medians: milliseconds by layer name.
        work: multiply-accumulates of the ONNX nodes, for one image.
        peaks: peak rates of the GPU.
        images: in the batch.
    """
    macs = {layer.name: layer.macs for layer in work.layers}
    found = []
    for layer in json.loads(inspector_json).get("Layers", []):
        if not isinstance(layer, dict) or layer.get("Name") not in medians:
            continue
        precision = precision_of(layer)
        multiplied = images * sum(macs.get(name, 0) for name in ONNX_NAME.findall(str(layer.get("Metadata", ""))))
        moved = _tensor_bytes([*layer.get("Inputs", []), *layer.get("Outputs", [])]) + _weights(layer, precision)
        found.append(
            LayerTime(
                name=str(layer["Name"]),
                kind=str(layer.get("ParameterType") or layer.get("LayerType", "")),
                precision=precision,
                ms=medians[layer["Name"]],
                macs=multiplied,
                bytes_moved=moved,
                bound_ms=peaks.bound_ms(multiplied, moved, precision),
            )
        )
    return tuple(found)


def _tensor_bytes(tensors: Sequence[Any]) -> int:
    return sum(
        math.prod(tensor.get("Dimensions", [])) * ELEMENT_BYTES.get(precision_of({"Inputs": [tensor]}), 4)
        for tensor in tensors
        if isinstance(tensor, dict)
    )


def _weights(layer: Mapping[str, Any], precision: str) -> int:
    weights = layer.get("Weights")
    return int(weights.get("Count", 0)) * ELEMENT_BYTES.get(precision, 4) if isinstance(weights, dict) else 0
