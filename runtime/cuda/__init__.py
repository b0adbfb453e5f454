"""CUDA memory, streams, events and graphs behind one narrow interface, `Cuda`; `open_cuda` gives it by pycuda."""

from br2net.errors import CudaError, OutOfMemoryError
from br2net.runtime.cuda.interface import Cuda
from br2net.runtime.cuda.opening import open_cuda, parse_device

__all__ = ["Cuda", "CudaError", "OutOfMemoryError", "open_cuda", "parse_device"]
