"""Choosing a backend for a file."""

from pathlib import Path

from br2net.errors import InputError, ModelError
from br2net.files import CHECKPOINT_SUFFIXES, ENGINE_SUFFIXES
from br2net.runtime.backend import Backend, InferenceOptions

BACKENDS = ("tensorrt", "openvino", "onnxruntime", "torch")


def open_backend(path: Path, backend: str = "auto", options: InferenceOptions | None = None) -> Backend:
    """Load a model file.

    Args:
        path: an ONNX file, a TensorRT engine (`.engine`, `.plan`) or a training checkpoint (`.pth`).
        backend: `auto` for the fastest that reads such files (`openvino`; `tensorrt` for an engine, `torch` for a
            checkpoint), or its name.
        options: device, precision, input size, threads.

    Raises:
        ModelError: if the file is missing or not a model.
        InputError: if backend, device, precision or size is not possible with this file.
        MissingDependencyError: if the backend is not installed.
        BackendError: if the backend cannot load the file.
    """
    options = options or InferenceOptions()
    if not path.is_file():
        raise ModelError(f"There is no file {path}.")
    reader = _only_reader(path)
    if backend == "auto":
        backend = reader or "openvino"
    if backend not in BACKENDS:
        raise InputError(f"There is no backend {backend}; there are {', '.join(BACKENDS)}.")
    if (reader or backend) != backend or (backend in ("torch", "tensorrt") and reader is None):
        raise InputError(f"The backend {backend} does not read {path.suffix} files.")
    if backend == "tensorrt":
        from br2net.runtime.tensorrt import TensorRTBackend

        return TensorRTBackend.load(path, options)
    if backend == "torch":
        from br2net.runtime.torch import TorchBackend

        return TorchBackend(path, options)
    if backend == "onnxruntime":
        from br2net.runtime.onnxruntime import OnnxRuntimeBackend

        return OnnxRuntimeBackend(path, options)
    from br2net.runtime.openvino.session import OpenVINOBackend

    return OpenVINOBackend(path, options)


def _only_reader(path: Path) -> str | None:
    """The one backend that reads such a file; None for an ONNX file, which several do."""
    suffix = path.suffix.lower()
    if suffix in CHECKPOINT_SUFFIXES:
        return "torch"
    if suffix in ENGINE_SUFFIXES:
        return "tensorrt"
    if suffix != ".onnx":
        raise ModelError(f"{path} is no model file: .onnx, .engine, .plan and .pth (checkpoint) are understood.")
    return None
