"""ONNX Runtime: an alternative on the CPU."""

from br2net.runtime.onnxruntime.session import OnnxRuntimeBackend, open_session

__all__ = ["OnnxRuntimeBackend", "open_session"]
