"""TensorRT: runs engine files; its Python module and its log are shared with what builds them."""

from br2net.runtime.tensorrt.session import TensorRTBackend

__all__ = ["TensorRTBackend"]
