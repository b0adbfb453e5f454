"""A model loaded by OpenVINO."""

import threading
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from br2net.errors import BackendError, InputError, MissingDependencyError
from br2net.runtime.backend import Backend, Batch, InferenceOptions
from br2net.runtime.model_file import read_model_file
from br2net.runtime.openvino.core import shared_core

if TYPE_CHECKING:
    from openvino import InferRequest, Model

PRECISIONS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
NAMES = {"float": "fp32", "f32": "fp32", "bfloat16": "bf16", "bf16": "bf16", "float16": "fp16", "f16": "fp16"}
KEPT_BATCH_SIZES = 4


class OpenVINOBackend(Backend):
    """Compiles for each batch size when it is first seen, and keeps the last few, with one request for each stream."""

    name = "openvino"

    def __init__(self, path: Path, options: InferenceOptions) -> None:
        try:
            import openvino
        except ImportError as error:
            raise MissingDependencyError("OpenVINO is not installed; `pip install openvino` brings it.") from error
        file = read_model_file(path)
        self.metadata, self.fixed_batch = file.metadata, file.batch
        self.width, self.height = file.choose_size(options.size)
        self.device = "CPU" if options.device == "auto" else options.device.upper()
        self._settings = _settings(options)
        self.concurrency = options.streams
        self._pools: dict[int, SimpleQueue[InferRequest]] = {}
        self._compiling = threading.Lock()
        self._core = shared_core(openvino.Core)
        if self.device.split(".")[0] not in {item.split(".")[0] for item in self._core.available_devices}:
            devices = ", ".join(self._core.available_devices) or "none"
            raise InputError(f"OpenVINO has no device {self.device} here; it has {devices}.")
        try:
            self._model: Model | None = self._core.read_model(path)
            pool = self._pool(self.fixed_batch or 1)
            request = pool.get()
            self.precision = self._precision_of(request)
            pool.put(request)
        except RuntimeError as error:
            raise BackendError(f"OpenVINO cannot load {path}: {_last_line(error)}") from error
        if options.precision not in ("auto", self.precision) and self.precision != "int8":
            raise InputError(
                f"OpenVINO computes {path} in {self.precision} on this {self.device}, not in {options.precision}."
            )

    def _run(self, batch: Batch) -> Batch:
        try:
            pool = self._pool(len(batch))
            request = pool.get()
            try:
                results = request.infer([np.ascontiguousarray(batch)], share_inputs=True)
                return np.array(results[0], dtype=np.float32)  # before the request is given back
            finally:
                pool.put(request)
        except RuntimeError as error:
            raise BackendError(f"OpenVINO failed: {_last_line(error)}") from error

    def close(self) -> None:
        """Free the compiled models."""
        self._pools.clear()
        self._model = None

    def _pool(self, count: int) -> "SimpleQueue[InferRequest]":
        """The idle requests for batches of `count`."""
        with self._compiling:
            if self._model is None:
                raise BackendError("The model is closed; load it again.")
            if count not in self._pools:
                if len(self._pools) >= KEPT_BATCH_SIZES:
                    self._pools.pop(next(iter(self._pools)))
                model = self._model.clone()
                model.reshape([count, 3, self.height, self.width])
                compiled = self._core.compile_model(model, self.device, self._settings)
                pool: SimpleQueue[InferRequest] = SimpleQueue()
                for _ in range(self.concurrency):
                    pool.put(compiled.create_infer_request())
                self._pools[count] = pool
            return self._pools[count]

    def _precision_of(self, request: "InferRequest") -> str:
        if self.metadata.precision == "int8":
            return "int8"
        hint = request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT")
        name = str(hint.get_type_name() if hasattr(hint, "get_type_name") else hint)
        return NAMES.get(name, name)


def _settings(options: InferenceOptions) -> dict[str, Any]:
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if options.streams > 1:
        settings = {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": str(options.streams)}
    if options.precision != "auto":
        if options.precision not in PRECISIONS:
            choices = ", ".join(PRECISIONS)
            raise InputError(f"OpenVINO can compute in {choices}; {options.precision} is a property of the file.")
        settings["INFERENCE_PRECISION_HINT"] = PRECISIONS[options.precision]
    if options.threads:
        settings["INFERENCE_NUM_THREADS"] = options.threads
        settings["ENABLE_CPU_PINNING"] = False  # models that share a machine would all sit on its first processors
    return settings


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
