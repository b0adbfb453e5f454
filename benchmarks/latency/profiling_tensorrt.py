"""How long each layer of a TensorRT engine takes, by TensorRT's own profiler. Not executed on a GPU by us."""

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from br2net.benchmarks.latency.record import LayerTime
from br2net.benchmarks.latency.roofline import Peaks
from br2net.benchmarks.latency.work import ELEMENT_BYTES, Work
from br2net.builder.engine.inspection import precision_of

RUNS = 10
ONNX_NAME = re.compile(r"\[ONNX Layer: ([^\]]+)\]")


def profile_tensorrt(engine: Path, batch: NDArray[np.float32], work: Work, peaks: Peaks) -> tuple[LayerTime, ...]:
    """Layers of an engine that was built with detailed profiling verbosity, as `br2net build` does.

    Args:
        engine: the file.
        batch: network input.
        work: of the ONNX that the engine was built from.
        peaks: of the GPU.
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

    plan = load_plan(engine.read_bytes())
    profiler = Profiler()
    with TrtRunner(plan) as runner:
        for run in range(RUNS + 2):
            if run == 2:
                runner.context.profiler = profiler
            runner.infer({"image": batch}, copy_outputs_to_host=False)
    information = plan.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    medians = {name: float(np.median(times)) for name, times in profiler.times.items()}
    return layer_times(information, medians, work, peaks, len(batch))


def layer_times(
    inspector_json: str, medians: Mapping[str, float], work: Work, peaks: Peaks, images: int
) -> tuple[LayerTime, ...]:
    """Put the profiler's times and the inspector's layers together.

    A layer has the multiply-accumulates of all ONNX nodes that it was fused from, and the bytes of its inputs, outputs and
    weights; layers that the profiler has no time for are left out.

    Args:
        inspector_json: of an engine with detailed profiling verbosity.
        medians: milliseconds by layer name.
        work: multiply-accumulates of the ONNX nodes, for one image.
        peaks: of the GPU.
        images: in the batch.
    """
    macs = {layer.name: layer.macs for layer in work.layers}
    found = []
    for layer in json.loads(inspector_json).get("Layers", []):
        if not isinstance(layer, dict) or layer.get("Name") not in medians:
            continue
        precision = precision_of(layer)
        multiplied = images * sum(macs.get(name, 0) for name in ONNX_NAME.findall(str(layer.get("Metadata", ""))))
        moved = _bytes([*layer.get("Inputs", []), *layer.get("Outputs", [])]) + _weights(layer, precision)
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


def _bytes(tensors: Sequence[Any]) -> int:
    return sum(
        math.prod(tensor.get("Dimensions", [])) * ELEMENT_BYTES.get(precision_of({"Inputs": [tensor]}), 4)
        for tensor in tensors
        if isinstance(tensor, dict)
    )


def _weights(layer: Mapping[str, Any], precision: str) -> int:
    weights = layer.get("Weights")
    return int(weights.get("Count", 0)) * ELEMENT_BYTES.get(precision, 4) if isinstance(weights, dict) else 0
