"""A model loaded by ONNX Runtime."""

from pathlib import Path
from typing import Any

import numpy as np

from br2net.errors import BackendError, InputError, MissingDependencyError
from br2net.runtime.backend import CLOSED, Backend, HostRequest, InferenceOptions
from br2net.runtime.model_file import read_model_file
from br2net.runtime.onnxruntime.rounding import rounding_source
from br2net.types import Batch

PROVIDERS = {"auto": "CPUExecutionProvider", "cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def open_session(model: Path | bytes, *, threads: int = 0, provider: str = "CPUExecutionProvider") -> Any:
    """Open a model by ONNX Runtime.

    Args:
        model: path or content of an ONNX file.
        threads: CPU threads; 0 for all.
        provider: ONNX Runtime's name of the device.

    Returns:
        An `onnxruntime.InferenceSession`.

    Raises:
        MissingDependencyError: if ONNX Runtime is not installed.
        BackendError: if it cannot load the model.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            "ONNX Runtime is not installed; `pip install 'br2net[onnxruntime]'` brings it."
        ) from error
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 3
    try:
        source = model if isinstance(model, bytes) else str(model)
        return onnxruntime.InferenceSession(source, settings, providers=[provider])
    except Exception as error:  # its exceptions share no base class of their own
        name = "the model" if isinstance(model, bytes) else model
        raise BackendError(f"ONNX Runtime cannot load {name}: {error}") from error


class OnnxRuntimeBackend(Backend):
    """Runs the file as it is: its precision is the file's, but for quantisers that would not round (see `rounding`)."""

    name = "onnxruntime"

    def __init__(self, path: Path, options: InferenceOptions) -> None:
        super().__init__()
        self.threads = options.threads
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependencyError(
                "ONNX Runtime is not installed; `pip install 'br2net[onnxruntime]'` brings it."
            ) from error
        file = read_model_file(path)
        self.metadata, self.fixed_batch = file.metadata, file.batch
        self.precision = file.metadata.precision
        self.width, self.height = file.choose_size(options.size)
        if options.precision not in ("auto", self.precision):
            raise InputError(
                f"ONNX Runtime computes {path} in {self.precision}, as the file says; not {options.precision}."
            )
        provider = PROVIDERS.get(options.device.lower())
        if provider is None or provider not in onnxruntime.get_available_providers():
            devices = ", ".join(key for key in PROVIDERS if PROVIDERS[key] in onnxruntime.get_available_providers())
            raise InputError(f"ONNX Runtime has no device {options.device} here; it has {devices}.")
        source = rounding_source(path) if self.precision == "int8" else str(path)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(source, settings, providers=[provider])
        except Exception as error:  # its exceptions share no base class of their own
            raise BackendError(f"ONNX Runtime cannot load {path}: {error}") from error
        used = self._session.get_providers()[0]
        if used != provider:
            raise BackendError(f"ONNX Runtime fell back to {used} instead of {provider}.")
        self.device = provider.removesuffix("ExecutionProvider")

    def _new_request(self, batch: int) -> HostRequest:
        return HostRequest(self, batch, self._infer)

    def _infer(self, batch: Batch) -> Batch:
        if self._session is None:
            raise BackendError(CLOSED)
        try:
            results = self._session.run(["blur"], {"image": batch})
        except Exception as error:  # as above
            raise BackendError(f"ONNX Runtime failed: {error}") from error
        return np.asarray(results[0], dtype=np.float32)

    def close(self) -> None:
        """Free the session."""
        super().close()
        self._session = None
