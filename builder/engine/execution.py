"""What only a GPU can tell of a fresh plan: its layers, and the refit of a stripped one."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from br2net.builder.engine.inspection import count_layers
from br2net.errors import EngineError
from br2net.runtime.tensorrt.api import trt
from br2net.runtime.tensorrt.log import KeptLog, kept_log

Created = TypeVar("Created")


def create(kind: Callable[[KeptLog], Created]) -> Created:
    """Create TensorRT's `Builder` or `Runtime`.

    Raises:
        EngineError: if it cannot use CUDA here, for example because the driver is too old.
    """
    log = kept_log()
    try:
        return kind(log)
    except TypeError as error:  # pybind11: "factory function returned nullptr"
        reason = "; ".join(log.errors()) or str(error)
        raise EngineError(
            f"TensorRT {trt.__version__} cannot use CUDA here ({reason}); compare the driver's CUDA version by "
            "`nvidia-smi` with that of the TensorRT package.",
            log.lines(),
        ) from error


def load_plan(plan: bytes) -> trt.ICudaEngine:
    """Deserialise a plan on this machine's GPU.

    Raises:
        EngineError: if TensorRT refuses it; it carries TensorRT's log.
    """
    log = kept_log()
    with log.section():
        runtime = create(trt.Runtime)
        runtime.engine_host_code_allowed = (
            True  # a version-compatible plan holds code; this one was built or checked here
        )
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            reason = "; ".join(log.errors()) or "no reason given"
            raise EngineError(f"TensorRT does not load the engine that it built: {reason}.", log.lines())
    return engine


def layers_of(plan: bytes) -> dict[str, int]:
    """Return the number of layers per precision of a plan."""
    inspector = load_plan(plan).create_engine_inspector()
    return count_layers(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


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
            reason = "; ".join(log.errors()) or "no reason given"
            raise EngineError(f"The weights of {onnx} do not fit the stripped engine: {reason}.", log.lines())
        serialisation = engine.create_serialization_config()
        serialisation.clear_flag(trt.SerializationFlag.EXCLUDE_WEIGHTS)
        return bytes(engine.serialize_with_config(serialisation))
