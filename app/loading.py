"""Loading a model the best way that this machine has: on an NVIDIA GPU through an engine, otherwise as it is."""

import logging
import re
from pathlib import Path

from br2net.errors import BackendError, InputError, MissingDependencyError
from br2net.runtime.backend import Backend, InferenceOptions
from br2net.runtime.backends import open_backend
from br2net.runtime.gpu import Gpu, find_gpu
from br2net.zoo import find_model

_log = logging.getLogger(__name__)
_said: set[str] = set()


def load_backend(model: str | Path, backend: str, options: InferenceOptions) -> Backend:
    """Open a model.

    An ONNX file, or a shipped model, becomes an engine where the backend is `tensorrt`, or `auto` on a machine with an
    NVIDIA GPU: built at the first call, found in the user's cache folder at later ones. Where that machine lacks
    TensorRT, `auto` says so once and uses the CPU.

    Args:
        model: name of a shipped model, or path of an ONNX file, an engine or a checkpoint; or `triton://host:port/model`.
        backend: `auto`, or its name.
        options: device, precision, input size, threads, streams.

    Raises:
        Br2netError: what finding, building or opening raises.
    """
    if isinstance(model, str) and model.startswith("triton://"):
        return _remote(model, backend, options)
    path = find_model(model)
    if path.suffix.lower() != ".onnx":
        return open_backend(path, backend, options)
    if backend == "tensorrt":
        return open_backend(_engine(path, options, _gpu(options.device)), "tensorrt", options)
    if backend == "auto" and _may_use_cuda(options):
        gpu = _gpu_if_any(options.device)
        engine = None if gpu is None else _engine_or_reason(path, options, gpu)
        if engine is not None:
            return open_backend(engine, "tensorrt", options)
    return open_backend(path, backend, options)


def _remote(url: str, backend: str, options: InferenceOptions) -> Backend:
    if backend not in ("auto", "triton"):
        raise InputError(f"The backend {backend} does not ask servers; leave it out for {url}.")
    from br2net.runtime.triton import TritonBackend

    return TritonBackend(url, options)


def _may_use_cuda(options: InferenceOptions) -> bool:
    """Whether a CUDA GPU fits what is asked; `gpu` by itself is OpenVINO's name for Intel's."""
    return options.precision != "bf16" and re.fullmatch(r"auto|cuda(:\d+)?", options.device.lower()) is not None


def _gpu_if_any(device: str) -> Gpu | None:
    """The GPU that `device` means; None where `auto` finds none.

    Raises:
        BackendError, InputError: if a GPU is asked for by name and cannot be used.
    """
    if device == "auto":
        return find_gpu()
    return _gpu(device)


def _gpu(device: str) -> Gpu:
    from br2net.runtime.cuda import parse_device

    index = parse_device(device)
    first, wanted = find_gpu(), find_gpu(index)
    if first is None:
        raise BackendError(
            "There is no NVIDIA GPU (or driver) here; leave out --device and --backend tensorrt to compute on the CPU."
        )
    if wanted is None:
        raise InputError(f"There is no GPU number {index} here; `nvidia-smi -L` lists them.")
    if wanted != first:  # TensorRT builds on the first
        raise InputError(
            f"GPU {index} is {wanted.name} and GPU 0 is {first.name}; engines are built on GPU 0, so set "
            f"CUDA_VISIBLE_DEVICES={index}."
        )
    return wanted


def _engine(onnx: Path, options: InferenceOptions, gpu: Gpu) -> Path:
    from br2net.builder.engine.on_demand import engine_on_demand

    return engine_on_demand(onnx, options.precision, options.size, gpu)


def _engine_or_reason(onnx: Path, options: InferenceOptions, gpu: Gpu) -> Path | None:
    """The engine, or None after saying once what is not installed."""
    try:
        return _engine(onnx, options, gpu)
    except MissingDependencyError as error:
        if options.device != "auto":
            raise
        if str(error) not in _said:
            _said.add(str(error))
            _log.warning("There is a GPU here (%s) that is not used, and the CPU is: %s", gpu.name, error)
        return None
