"""NVIDIA's Triton Inference Server: a backend that asks one, and the model repository that one serves."""

from br2net.runtime.triton.address import SCHEME, TritonAddress, parse_address
from br2net.runtime.triton.session import TritonBackend

__all__ = ["SCHEME", "TritonAddress", "TritonBackend", "parse_address"]
