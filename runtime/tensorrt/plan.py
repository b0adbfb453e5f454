"""Deserialising a plan. Nothing here is called before its sidecar was checked."""

from pathlib import Path
from typing import Any

import numpy as np

from br2net.errors import BackendError, EngineError, ModelError
from br2net.runtime.cuda.errors import cuda_error
from br2net.runtime.tensorrt.api import trt
from br2net.runtime.tensorrt.engine import ExecutionContext, Tensors, check_tensors
from br2net.runtime.tensorrt.log import kept_log

_TYPES: dict[trt.DataType, np.dtype[Any]] = {
    trt.DataType.FLOAT: np.dtype(np.float32),
    trt.DataType.HALF: np.dtype(np.float16),
}


class PlanEngine:
    """An engine that TensorRT deserialised; the GPU's context is current while it is made and used."""

    def __init__(self, path: Path, plan: bytes) -> None:
        log = kept_log()
        self._path = path
        with log.section():
            self._runtime = trt.Runtime(log)
            engine = self._runtime.deserialize_cuda_engine(plan)
            if engine is None:
                raise self._error("loading the engine", f"TensorRT does not load {path}")
        self._engine = engine
        self.tensors = self._read_tensors()

    def new_context(self) -> ExecutionContext:
        """Another execution context."""
        with kept_log().section():
            context = self._engine.create_execution_context()
            if context is None:
                raise self._error("preparing the engine", f"TensorRT makes no execution context of {self._path}")
        return context

    def log(self) -> str:
        """Errors that TensorRT logged since this was last asked."""
        log = kept_log()
        said = "; ".join(log.errors())
        with log.section():
            return said

    def _error(self, doing: str, text: str) -> BackendError:
        """What TensorRT logged: CUDA's failure where it is one, else its own."""
        log = kept_log()
        said = "; ".join(log.errors())
        if "cuda" in said.lower() or "memory" in said.lower():
            return cuda_error(said, doing)
        return EngineError(f"{text}: {said or 'no reason given'}.", log.lines())

    def _read_tensors(self) -> Tensors:
        inputs: dict[str, np.dtype[Any]] = {}
        outputs: dict[str, np.dtype[Any]] = {}
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            kind = self._engine.get_tensor_dtype(name)
            if kind not in _TYPES:
                raise ModelError(f"{self._path} has {name} of {kind.name}; float32 and float16 are understood.")
            side = inputs if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT else outputs
            side[name] = _TYPES[kind]
        return check_tensors(self._path, inputs, outputs)
