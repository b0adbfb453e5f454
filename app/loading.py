"""Loading a model the best way that this machine has: on an NVIDIA GPU through an engine, otherwise as it is."""

import logging
import re
from pathlib import Path

from br2net.errors import BackendError, InputError, MissingDependencyError
from br2net.files import StrPath
from br2net.log import warn_once
from br2net.runtime.backend import Backend, InferenceOptions
from br2net.runtime.backends import open_backend
from br2net.runtime.gpu import Gpu, find_gpu
from br2net.zoo import find_model

_log = logging.getLogger(__name__)


def load_backend(model: StrPath, backend: str, options: InferenceOptions) -> Backend:
    """Open a model.

    An ONNX file, or a shipped model, becomes an engine where the backend is `tensorrt`, or `auto` on a machine with an
    NVIDIA GPU: built at the first call, found in the user's cache folder at later ones. Where the GPU cannot be used,
    for example because TensorRT is not installed, `auto` warns once and uses the CPU.

    Args:
        model: name of a shipped model, or path of an ONNX file, an engine or a checkpoint; or `triton://host:port/model`.
        backend: `auto`, or its name.
        options: device, precision, input size, threads, streams.

    Raises:
        Br2netError: what finding, building or opening raises.
    """
    if isinstance(model, str) and model.startswith("triton://"):
        if backend not in ("auto", "triton"):
            raise InputError(f"backend must be auto or triton for {model}, got {backend}.")
        from br2net.runtime.triton import TritonBackend

        return TritonBackend(model, options)
    path = find_model(model)
    if path.suffix.lower() != ".onnx":
        return open_backend(path, backend, options)
    if backend == "tensorrt":
        return _open_engine(path, options, _gpu(options.device))
    if backend == "auto" and _may_use_cuda(options):
        gpu = find_gpu() if options.device == "auto" else _gpu(options.device)
        if gpu is not None:
            try:
                return _open_engine(path, options, gpu)
            except (MissingDependencyError, BackendError) as error:
                if options.device != "auto":
                    raise
                warn_once(_log, f"The GPU here ({gpu.name}) is not used, the CPU is: {error}")
    return open_backend(path, backend, options)


def _open_engine(onnx: Path, options: InferenceOptions, gpu: Gpu) -> Backend:
    from br2net.builder.engine.on_demand import engine_on_demand

    return open_backend(engine_on_demand(onnx, options.precision, options.size, gpu), "tensorrt", options)


def _may_use_cuda(options: InferenceOptions) -> bool:
    """Return whether a CUDA GPU fits the options; `gpu` by itself is OpenVINO's name for Intel's."""
    return options.precision != "bf16" and re.fullmatch(r"auto|cuda(:\d+)?", options.device.lower()) is not None


def _gpu(device: str) -> Gpu:
    """Return the GPU that `device` names.

    Raises:
        BackendError, InputError: if there is none, or engines cannot be built on it.
    """
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
