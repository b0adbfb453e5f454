"""The per-pixel work between a camera and a network, compiled: a C++ library for the CPU, and CUDA kernels."""

from br2net.runtime.native.library import is_available
from br2net.runtime.native.status import Status, status

__all__ = ["Status", "is_available", "status"]
