"""Which NVIDIA GPU is here, asked of the CUDA driver itself: no CUDA package is needed to know."""

import ctypes
import sys
from dataclasses import dataclass

_COMPUTE_CAPABILITY_MAJOR = 75  # CUdevice_attribute of cuda.h
_COMPUTE_CAPABILITY_MINOR = 76


@dataclass(frozen=True)
class Gpu:
    """One GPU: its product name and its compute capability as `8.9`."""

    name: str
    compute_capability: str


def find_gpu(index: int = 0) -> Gpu | None:
    """The GPU number `index`, or None where there is no NVIDIA driver or no such GPU."""
    driver = _open_driver()
    device = ctypes.c_int()
    if driver is None or driver.cuInit(0) != 0 or driver.cuDeviceGet(ctypes.byref(device), index) != 0:
        return None
    name = ctypes.create_string_buffer(256)
    major, minor = ctypes.c_int(), ctypes.c_int()
    failed = (
        driver.cuDeviceGetName(name, len(name), device)
        or driver.cuDeviceGetAttribute(ctypes.byref(major), _COMPUTE_CAPABILITY_MAJOR, device)
        or driver.cuDeviceGetAttribute(ctypes.byref(minor), _COMPUTE_CAPABILITY_MINOR, device)
    )
    return None if failed else Gpu(name.value.decode(errors="replace"), f"{major.value}.{minor.value}")


def driver_cuda_version() -> tuple[int, int] | None:
    """Newest CUDA that the NVIDIA driver runs, as `(13, 0)`; None where there is no driver."""
    driver = _open_driver()
    version = ctypes.c_int()
    if driver is None or driver.cuDriverGetVersion(ctypes.byref(version)) != 0:
        return None
    return version.value // 1000, version.value % 1000 // 10


def _open_driver() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
