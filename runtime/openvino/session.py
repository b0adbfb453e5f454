"""A model loaded by OpenVINO."""

import logging
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from br2net.errors import BackendError, InputError, MissingDependencyError
from br2net.log import warn_once
from br2net.runtime.backend import Backend, HostRequest, InferenceOptions
from br2net.runtime.model_file import read_model_file
from br2net.runtime.openvino.core import shared_core
from br2net.types import Batch

if TYPE_CHECKING:
    from openvino import CompiledModel, Model

_log = logging.getLogger(__name__)
PRECISIONS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
NAMES = {"float": "fp32", "f32": "fp32", "bfloat16": "bf16", "bf16": "bf16", "float16": "fp16", "f16": "fp16"}


class OpenVINOBackend(Backend):
    """Compiles for each batch size when it is first seen, and keeps the last few, one compiled model for each."""

    name = "openvino"

    def __init__(self, path: Path, options: InferenceOptions) -> None:
        super().__init__()
        self.threads = options.threads
        try:
            import openvino
        except ImportError as error:
            raise MissingDependencyError("OpenVINO is not installed; `pip install openvino` brings it.") from error
        file = read_model_file(path)
        self.metadata, self.fixed_batch = file.metadata, file.batch
        self.width, self.height = file.choose_size(options.size)
        self.device = "CPU" if options.device == "auto" else options.device.upper()
        self._settings = _settings(options)
        if self.metadata.precision == "int8" and self.device == "CPU" and not _adds_int8_products():
            self._settings["LP_TRANSFORMS_MODE"] = False
            warn_once(
                _log,
                f"{path.name} runs in float32 by OpenVINO here: without VNNI, this processor's sums of INT8 products overflow.",
            )
        self.concurrency = options.streams
        self._compiled: dict[int, CompiledModel] = {}  # by batch size
        self._core = shared_core(openvino.Core)
        if self.device.split(".")[0] not in {item.split(".")[0] for item in self._core.available_devices}:
            devices = ", ".join(self._core.available_devices) or "none"
            raise InputError(f"OpenVINO has no device {self.device} here; it has {devices}.")
        try:
            self._model: Model = self._core.read_model(path)
            self.precision = self._precision_of(self._compile(self.fixed_batch or 1))
        except RuntimeError as error:
            raise BackendError(f"OpenVINO cannot load {path}: {_last_line(error)}") from error
        if options.precision not in ("auto", self.precision) and self.metadata.precision != "int8":
            raise InputError(
                f"OpenVINO computes {path} in {self.precision} on this {self.device}, not in {options.precision}."
            )

    def _new_request(self, batch: int) -> HostRequest:
        import openvino

        try:
            request = self._compile(batch).create_infer_request()
            tensor = np.zeros((batch, 3, self.height, self.width), np.float32)
            request.set_input_tensor(openvino.Tensor(tensor, shared_memory=True))
        except RuntimeError as error:
            raise BackendError(f"OpenVINO failed: {_last_line(error)}") from error

        def infer(_: Batch) -> Batch:
            try:
                request.infer()
                return np.asarray(request.get_output_tensor().data, dtype=np.float32)
            except RuntimeError as error:
                raise BackendError(f"OpenVINO failed: {_last_line(error)}") from error

        return HostRequest(self, batch, infer, tensor)

    def _forget_size(self, batch: int) -> None:
        self._compiled.pop(batch, None)

    def _free(self) -> None:
        self._compiled.clear()
        del self._model

    def _compile(self, batch: int) -> "CompiledModel":
        if batch not in self._compiled:
            model = self._model.clone()
            model.reshape([batch, 3, self.height, self.width])
            self._compiled[batch] = self._core.compile_model(model, self.device, self._settings)
        return self._compiled[batch]

    def _precision_of(self, compiled: "CompiledModel") -> str:
        if self.metadata.precision == "int8" and self._settings.get("LP_TRANSFORMS_MODE", True):
            return "int8"
        hint = compiled.get_property("INFERENCE_PRECISION_HINT")
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


def _adds_int8_products() -> bool:
    """Whether this processor sums INT8 products in 32 bits. On x86 that takes VNNI or AMX; AVX2 alone cuts at 16 bits."""
    try:
        flags = set(re.findall(r"\w+", Path("/proc/cpuinfo").read_text(encoding="utf-8")))
    except OSError:
        return True
    return platform.machine() not in ("x86_64", "AMD64") or bool(flags & {"avx512_vnni", "avx_vnni", "amx_int8"})


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
