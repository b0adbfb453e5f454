"""ONNX export, inspection, precisions and TensorRT engines."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from br2net.builder.export import ExportOptions, export_onnx
    from br2net.builder.inspection import OnnxSummary, inspect_onnx

__all__ = ["ExportOptions", "OnnxSummary", "export_onnx", "inspect_onnx"]

_HOMES = {
    "ExportOptions": "br2net.builder.export",
    "OnnxSummary": "br2net.builder.inspection",
    "export_onnx": "br2net.builder.export",
    "inspect_onnx": "br2net.builder.inspection",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: inspection works where torch is not installed."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
