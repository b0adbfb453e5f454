"""A model loaded by ONNX Runtime."""

from pathlib import Path
from typing import Any

import numpy as np

from br2net.errors import BackendError, InputError, MissingDependencyError
from br2net.runtime.backend import Backend, HostRequest, InferenceOptions
from br2net.runtime.model_file import read_model_file
from br2net.runtime.onnxruntime.rounding import rounding_source
from br2net.types import Batch

CPU = "CPUExecutionProvider"
PROVIDERS = {"auto": CPU, "cpu": CPU, "cuda": "CUDAExecutionProvider"}


def open_session(model: Path | bytes, *, threads: int = 0, provider: str = CPU) -> Any:
    """Open an ONNX Runtime session, with quantisers that round (see `rounding`).

    Args:
        model: an ONNX file, or a serialised model.
        threads: CPU threads; 0 for all.
        provider: execution provider; no other is fallen back to.

    Returns:
        An `onnxruntime.InferenceSession`.

    Raises:
        MissingDependencyError: if ONNX Runtime is not installed.
        BackendError: if it cannot load the model with this provider.
    """
    onnxruntime = _import()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 3
    name = "a model" if isinstance(model, bytes) else model
    try:
        session = onnxruntime.InferenceSession(rounding_source(model), settings, providers=[provider])
    except Exception as error:  # its exceptions share no base class of their own
        raise BackendError(f"ONNX Runtime cannot load {name}: {error}") from error
    if session.get_providers()[0] != provider:
        raise BackendError(f"ONNX Runtime fell back to {session.get_providers()[0]} instead of {provider}.")
    return session


def _import() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            "ONNX Runtime is not installed; `pip install 'br2net[onnxruntime]'` brings it."
        ) from error
    return onnxruntime


class OnnxRuntimeBackend(Backend):
    """Runs the file as it is: its precision is the file's, except for quantisers that would not round (see `rounding`)."""

    name = "onnxruntime"

    def __init__(self, path: Path, options: InferenceOptions) -> None:
        super().__init__()
        self.threads = options.threads
        available = _import().get_available_providers()
        file = read_model_file(path)
        self.metadata, self.fixed_batch = file.metadata, file.batch
        self.precision = file.metadata.precision
        self.width, self.height = file.choose_size(options.size)
        if options.precision not in ("auto", self.precision):
            raise InputError(
                f"ONNX Runtime computes {path} in {self.precision}, as the file says; not {options.precision}."
            )
        provider = PROVIDERS.get(options.device.lower())
        if provider is None or provider not in available:
            devices = ", ".join(key for key in PROVIDERS if PROVIDERS[key] in available)
            raise InputError(f"ONNX Runtime has no device {options.device} here; it has {devices}.")
        self._session = open_session(path, threads=options.threads, provider=provider)
        self.device = provider.removesuffix("ExecutionProvider")

    def _new_request(self, batch: int) -> HostRequest:
        return HostRequest(self, batch, self._infer)

    def _infer(self, batch: Batch) -> Batch:
        try:
            results = self._session.run(["blur"], {"image": batch})
        except Exception as error:  # its exceptions share no base class of their own
            raise BackendError(f"ONNX Runtime failed: {error}") from error
        return np.asarray(results[0], dtype=np.float32)

    def _free(self) -> None:
        del self._session
