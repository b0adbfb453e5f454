"""What only a GPU can tell: the maps that a fresh plan computes, its layers, and the refit of a stripped one."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from br2net.builder.engine.layers import count_layers
from br2net.errors import EngineError, MissingDependencyError
from br2net.runtime.tensorrt.api import trt
from br2net.runtime.tensorrt.log import kept_log


def load_plan(plan: bytes) -> trt.ICudaEngine:
    """Deserialise a plan on this machine's GPU.

    Raises:
        EngineError: if TensorRT refuses it; it carries TensorRT's log.
    """
    log = kept_log()
    with log.section():
        engine = trt.Runtime(log).deserialize_cuda_engine(plan)
        if engine is None:
            said = "; ".join(log.errors()) or "no reason given"
            raise EngineError(f"TensorRT does not load the engine that it built: {said}.", log.lines())
    return engine


def layers_of(plan: bytes) -> dict[str, int]:
    """Number of layers per precision of a plan."""
    inspector = load_plan(plan).create_engine_inspector()
    return count_layers(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def run_plan(
    plan: bytes, input_name: str, output_name: str, batches: list[NDArray[np.float32]]
) -> list[NDArray[np.float32]]:
    """Run a plan on each batch of network input and return its outputs, float32, owned by the caller.

    Raises:
        MissingDependencyError: if Polygraphy is not installed.
        EngineError: if the plan does not load.
    """
    try:
        from polygraphy.backend.trt import TrtRunner
    except ImportError as error:
        raise MissingDependencyError(
            "Comparing an engine with its ONNX needs Polygraphy: `pip install polygraphy`."
        ) from error
    outputs = []
    with TrtRunner(load_plan(plan)) as runner:
        for batch in batches:
            result = runner.infer({input_name: batch}, copy_outputs_to_host=True)[output_name]
            outputs.append(np.array(result, dtype=np.float32))  # the runner overwrites its own at the next call
    return outputs


def refit_plan(plan: bytes, onnx: Path) -> bytes:
    """Fill the weights of an ONNX file into a stripped plan.

    Raises:
        EngineError: if the file's weights are not those of the plan.
    """
    log = kept_log()
    engine = load_plan(plan)
    with log.section():
        refitter = trt.Refitter(engine, log)
        parser = trt.OnnxParserRefitter(refitter, log)
        if not parser.refit_from_file(str(onnx)) or not refitter.refit_cuda_engine():
            said = "; ".join(log.errors()) or "no reason given"
            raise EngineError(f"The weights of {onnx} do not fit the stripped engine: {said}.", log.lines())
        serialisation = engine.create_serialization_config()
        serialisation.clear_flag(trt.SerializationFlag.EXCLUDE_WEIGHTS)
        return bytes(engine.serialize_with_config(serialisation))
