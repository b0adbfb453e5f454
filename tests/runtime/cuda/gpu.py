"""Whether the tests that are marked `gpu` can run."""

import functools

from br2net.errors import Br2netError
from br2net.runtime.gpu import find_gpu


@functools.cache
def why_no_gpu() -> str:
    """Why CUDA cannot be used here through pycuda; empty where it can."""
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
