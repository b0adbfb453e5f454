"""Opening a GPU, or saying in one sentence what is missing for it."""

import re
from typing import TYPE_CHECKING

from br2net.errors import BackendError, InputError, MissingDependencyError
from br2net.runtime.gpu import find_gpu

if TYPE_CHECKING:
    from br2net.runtime.cuda.interface import Cuda


def parse_device(device: str) -> int:
    """Number of the GPU that `auto`, `cuda`, `gpu`, `cuda:1` or `gpu:1` mean.

    Raises:
        InputError: if the text is of another form.
    """
    match = re.fullmatch(r"(?:auto|(?:cuda|gpu)(?::(\d{1,3}))?)", device.strip().lower())
    if match is None:
        raise InputError(f"TensorRT has no device {device}; it has cuda, or cuda:1 for the second GPU.")
    return int(match[1] or 0)


def open_cuda(index: int = 0) -> "Cuda":
    """GPU number `index` through pycuda. The caller owns it and closes it.

    Raises:
        BackendError: if there is no NVIDIA GPU of that number, or no driver.
        MissingDependencyError: if pycuda is not installed.
        CudaError: if the driver refuses.
    """
    if find_gpu(index) is None:
        if find_gpu() is None:
            raise BackendError(
                "There is no NVIDIA GPU or driver here, which an engine needs; run the ONNX file instead, or see "
                "`br2net doctor`."
            )
        raise InputError(f"There is no GPU number {index} here; `nvidia-smi -L` lists them.")
    try:
        import pycuda.driver  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"pycuda is not installed or does not load ({error}); `pip install pycuda` brings it, which compiles it with "
            f"the CUDA toolkit."
        ) from error
    from br2net.runtime.cuda.device import PycudaDevice

    return PycudaDevice(index)
