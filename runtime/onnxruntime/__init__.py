"""ONNX Runtime: an alternative on the CPU."""

from br2net.runtime.onnxruntime.session import OnnxRuntimeBackend

__all__ = ["OnnxRuntimeBackend"]
