"""Whether the tests that are marked `gpu` can run."""

import ctypes
import functools
import os
import sys

from br2net.errors import Br2netError
from br2net.runtime.gpu import find_gpu

TEST_DRIVER = "BR2NET_TEST_DRIVER"


def load_test_driver() -> None:
    """Put the driver of `driver/driver.cpp` in the place of NVIDIA's, where test_pycuda.py asks for it."""
    if TEST_DRIVER in os.environ:
        ctypes.CDLL(os.environ[TEST_DRIVER], ctypes.RTLD_GLOBAL)
        sys.setdlopenflags(os.RTLD_LAZY)  # pycuda binds to functions that it has not
    if os.environ.get("BR2NET_TEST_WITHOUT_CUDA_PYTHON"):
        sys.modules["cuda.bindings"] = None  # type: ignore[assignment]


@functools.cache
def why_no_gpu() -> str:
    """Why CUDA cannot be used here through pycuda; empty where it can."""
    load_test_driver()
    if find_gpu() is None:
        return "there is no NVIDIA GPU here"
    try:
        import pycuda.driver  # noqa: F401
    except ImportError as error:
        return f"pycuda does not load ({error})"
    return ""


@functools.cache
def why_no_tensorrt() -> str:
    """Why engines cannot be built and run here; empty where they can."""
    if why_no_gpu():
        return why_no_gpu()
    try:
        import br2net.runtime.tensorrt.api  # noqa: F401
    except Br2netError as error:
        return str(error)
    return ""
