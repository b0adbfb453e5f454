"""Bare calls: what somebody would write who used an engine by itself. Each gives `(N, 1, h, w)` for `(N, 3, h, w)`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from br2net.types import Batch

Call = Callable[[Batch], Batch]


def onnxruntime_call(path: Path) -> Call:
    """ONNX Runtime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def call(batch: Batch) -> Batch:
        return np.asarray(session.run(None, {"image": batch})[0])

    return call


def openvino_call(path: Path, shape: tuple[int, ...], precision: str) -> Call:
    """OpenVINO on the CPU, compiled for one shape and for latency; `precision` is its own name, as `bf16` or `f32`."""
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    model.reshape(list(shape))
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    compiled = core.compile_model(model, "CPU", settings)

    def call(batch: Batch) -> Batch:
        return np.array(compiled([batch])[0])

    return call


def torch_call(checkpoint: Path, compiled: bool) -> Call:
    """PyTorch eager, or through `torch.compile`, which compiles at the first call."""
    import torch

    from br2net.network import load_checkpoint

    network: Any = load_checkpoint(checkpoint).model
    network = torch.compile(network) if compiled else network

    def call(batch: Batch) -> Batch:
        with torch.inference_mode():
            return np.asarray(network(torch.from_numpy(batch)).numpy())

    return call


def polygraphy_call(engine: Path) -> Call:
    """TensorRT by Polygraphy's runner, with copies. Not executed on a GPU by us."""
    from polygraphy.backend.common import BytesFromPath
    from polygraphy.backend.trt import EngineFromBytes, TrtRunner

    runner = TrtRunner(EngineFromBytes(BytesFromPath(str(engine))))
    runner.activate()

    def call(batch: Batch) -> Batch:
        return np.array(runner.infer({"image": batch}, copy_outputs_to_host=True)["blur"])

    return call
