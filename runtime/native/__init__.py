"""The per-pixel work between a camera and a network, compiled: a C++ library for the CPU, and CUDA kernels."""

from br2net.runtime.native.library import Status, is_available, status

__all__ = ["Status", "is_available", "status"]
