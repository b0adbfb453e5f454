"""The driver's words become one sentence that says what to do."""

import pytest

from br2net.errors import CudaError, OutOfMemoryError
from br2net.runtime.cuda.errors import cuda_error


@pytest.mark.parametrize(
    "said",
    [
        "cuMemAlloc failed: out of memory",
        "IExecutionContext::enqueueV3: Error Code 1: Cuda Runtime (out of memory)",
        "[defaultAllocator.cpp::allocate::31] Error Code 1: Cuda Runtime (out of memory)\nRequested size was 4 bytes",
    ],
)
def test_too_little_memory(said: str) -> None:
    error = cuda_error(said, "running the engine")
    assert isinstance(error, OutOfMemoryError) and not error.sticky
    assert "smaller input size" in str(error)


@pytest.mark.parametrize(
    "said",
    [
        "cuStreamSynchronize failed: an illegal memory access was encountered",
        "cuCtxSynchronize failed: unspecified launch failure",
        "Cuda Runtime (device-side assert triggered)",
        "the launch timed out and was terminated",
        "misaligned address",
        "context is destroyed",
    ],
)
def test_a_context_that_broke(said: str) -> None:
    error = cuda_error(said, "running the engine")
    assert error.sticky and "start this program again" in str(error)


@pytest.mark.parametrize(
    "said",
    [
        "uncorrectable ECC error encountered",
        "CUDA-capable device(s) is/are busy or unavailable",
        "no CUDA-capable device is detected",
        "unknown error",
    ],
)
def test_a_gpu_that_is_lost(said: str) -> None:
    error = cuda_error(said, "running the engine")
    assert error.sticky and "nvidia-smi" in str(error)


def test_a_driver_that_is_too_old() -> None:
    said = "Cuda Runtime (cudaError 35: CUDA driver version is insufficient for CUDA runtime version)"
    assert "br2net doctor" in str(cuda_error(said, "loading the engine"))


def test_a_forked_process() -> None:
    assert "spawn" in str(cuda_error("cuInit failed: initialization error", "opening the GPU"))


def test_anything_else_is_passed_on_in_one_line() -> None:
    error = cuda_error("invalid\n  value", "copying to the GPU")
    assert type(error) is CudaError and not error.sticky
    assert str(error) == "CUDA failed while copying to the GPU: invalid value."
