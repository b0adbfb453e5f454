"""Choosing a backend for a file."""

from pathlib import Path

from br2net.errors import InputError, ModelError
from br2net.runtime.backend import Backend, InferenceOptions

BACKENDS = ("openvino", "onnxruntime", "torch")
CHECKPOINT_SUFFIXES = (".pth", ".pt")


def open_backend(path: Path, backend: str = "auto", options: InferenceOptions | None = None) -> Backend:
    """Load a model file.

    Args:
        path: an ONNX file, or a training checkpoint (`.pth`).
        backend: `auto` for the fastest that reads such files (`openvino`, or `torch` for a checkpoint), or its name.
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
    suffix = path.suffix.lower()
    is_checkpoint = suffix in CHECKPOINT_SUFFIXES
    if not is_checkpoint and suffix != ".onnx":
        raise ModelError(f"{path} is no model file: .onnx and .pth (checkpoint) are understood.")
    if backend == "auto":
        backend = "torch" if is_checkpoint else "openvino"
    if backend not in BACKENDS:
        raise InputError(f"There is no backend {backend}; there are {', '.join(BACKENDS)}.")
    if is_checkpoint != (backend == "torch"):
        raise InputError(f"The backend {backend} does not read {path.suffix} files.")
    if backend == "torch":
        from br2net.runtime.torch import TorchBackend

        return TorchBackend(path, options)
    if backend == "onnxruntime":
        from br2net.runtime.onnxruntime import OnnxRuntimeBackend

        return OnnxRuntimeBackend(path, options)
    from br2net.runtime.openvino import OpenVINOBackend

    return OpenVINOBackend(path, options)
