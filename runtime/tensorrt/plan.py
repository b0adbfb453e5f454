"""Deserialising a plan. Nothing here is called before its sidecar was checked."""

from pathlib import Path
from typing import Any

import numpy as np

from br2net.errors import BackendError, EngineError, ModelError
from br2net.runtime.cuda.errors import cuda_error
from br2net.runtime.tensorrt.api import trt
from br2net.runtime.tensorrt.engine import INPUT, OUTPUT, ExecutionContext
from br2net.runtime.tensorrt.log import kept_log

_TYPES: dict[trt.DataType, np.dtype[Any]] = {
    trt.DataType.FLOAT: np.dtype(np.float32),
    trt.DataType.HALF: np.dtype(np.float16),
}


class PlanEngine:
    """An engine that TensorRT deserialised; the GPU's context is current while it is made and used."""

    def __init__(self, path: Path, plan: bytes, *, version_compatible: bool = False) -> None:
        """Deserialise a plan; a version compatible one holds code of the CPU, which its checked hash vouches for."""
        log = kept_log()
        self._path = path
        with log.section():
            try:
                self._runtime = trt.Runtime(log)
            except TypeError as error:  # how its bindings report a constructor that gives nothing
                raise self._error("starting TensorRT", "TensorRT does not start") from error
            if version_compatible:
                self._runtime.engine_host_code_allowed = True
            engine = self._runtime.deserialize_cuda_engine(plan)
            if engine is None:
                raise self._error("loading the engine", f"TensorRT does not load {path}")
        self._engine = engine
        self.input_type, self.output_type = self._read_types()

    def new_context(self) -> ExecutionContext:
        """Make another execution context."""
        with kept_log().section():
            context = self._engine.create_execution_context()
            if context is None:
                raise self._error("preparing the engine", f"TensorRT makes no execution context of {self._path}")
        return context

    def log(self) -> str:
        """Return the errors that TensorRT logged since the last call."""
        log = kept_log()
        said = "; ".join(log.errors())
        with log.section():
            return said

    def _error(self, doing: str, text: str) -> BackendError:
        """Return what TensorRT logged: CUDA's failure where it is one, else its own."""
        log = kept_log()
        said = "; ".join(log.errors())
        if "cuda" in said.lower() or "memory" in said.lower():
            return cuda_error(said, doing)
        return EngineError(f"{text}: {said or 'no reason given'}.", log.lines())

    def _read_types(self) -> tuple[np.dtype[Any], np.dtype[Any]]:
        sides: dict[trt.TensorIOMode, dict[str, np.dtype[Any]]] = {
            trt.TensorIOMode.INPUT: {},
            trt.TensorIOMode.OUTPUT: {},
        }
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            kind = self._engine.get_tensor_dtype(name)
            if kind not in _TYPES:
                raise ModelError(f"{self._path} has {name} of {kind.name}; float32 and float16 are understood.")
            sides[self._engine.get_tensor_mode(name)][name] = _TYPES[kind]
        inputs, outputs = sides.values()
        if set(inputs) != {INPUT} or set(outputs) != {OUTPUT}:
            raise ModelError(
                f"{self._path} is no br2net engine: it has inputs {', '.join(inputs) or 'none'} and outputs "
                f"{', '.join(outputs) or 'none'}, not image and blur; build it with `br2net build`."
            )
        return inputs[INPUT], outputs[OUTPUT]
