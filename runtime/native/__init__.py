"""The per-pixel work between a camera and a network, compiled: a C++ library for the CPU, and CUDA kernels."""

from br2net.runtime.native.installed import Status, status
from br2net.runtime.native.library import is_available

__all__ = ["Status", "is_available", "status"]
