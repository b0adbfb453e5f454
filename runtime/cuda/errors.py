"""What went wrong on the GPU, told from the driver's words, in one sentence that says what to do."""

from br2net.errors import CudaError, OutOfMemoryError

_MEMORY = ("out of memory", "OutOfMemory", "OUT_OF_MEMORY", "outofmemory")
# CUDA's texts (cuGetErrorString) of faults after which every further call in the process fails.
_STICKY = (
    "illegal memory access",
    "illegal address",
    "unspecified launch failure",
    "launch timed out",
    "device-side assert",
    "illegal instruction",
    "misaligned address",
    "invalid program counter",
    "hardware stack error",
    "operation not supported on global/shared address space",
    "context is destroyed",
    "Invalid access of peer",
    "MMU fault",
)
_LOST = (
    "uncorrectable ECC error",
    "uncorrectable NVLink error",
    "devices unavailable",
    "device(s) is/are busy or unavailable",
    "no CUDA-capable device",
    "requires a reset",
    "requires reset",
    "unknown error",
    "external device",
)
_DRIVER = ("driver version is insufficient", "not supported in the installed CUDA driver", "no CUDA driver")
_FORKED = ("initialization error", "not initialized")


def cuda_error(said: str, doing: str) -> CudaError:
    """The error for what CUDA or TensorRT said, or its class name.

    Args:
        said: the driver's text, as `cuMemAlloc failed: out of memory`, or lines of TensorRT's log.
        doing: what was being done, as `running the engine`.
    """
    text = " ".join(said.split()) or "no reason given"
    if any(sign in text for sign in _MEMORY):
        return OutOfMemoryError(
            f"The GPU ran out of memory while {doing}; use a smaller input size or batch, or end other programs that "
            f"use the GPU ({text})."
        )
    if any(sign in text for sign in _LOST):
        return CudaError(
            f"The GPU was lost while {doing} ({text}); see whether `nvidia-smi` still lists it, and start this "
            f"program again.",
            sticky=True,
        )
    if any(sign in text for sign in _STICKY):
        return CudaError(
            f"The GPU's context broke while {doing} ({text}); nothing works in it any more, start this program again.",
            sticky=True,
        )
    if any(sign in text for sign in _DRIVER):
        return CudaError(
            f"The NVIDIA driver is missing or too old for this CUDA while {doing}; install a newer one, as `br2net "
            f"doctor` says ({text})."
        )
    if any(sign in text for sign in _FORKED):
        return CudaError(
            f"CUDA does not work in this process while {doing} ({text}); a forked process cannot use it, "
            f"start workers with the method `spawn`."
        )
    return CudaError(f"CUDA failed while {doing}: {text}.")
