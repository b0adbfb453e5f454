"""OpenVINO: the default on a CPU; it computes in bfloat16 where the CPU has it, and reads Q/DQ files as INT8."""

from br2net.runtime.openvino.session import OpenVINOBackend

__all__ = ["OpenVINOBackend"]
