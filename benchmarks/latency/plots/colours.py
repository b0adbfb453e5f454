"""One colour for each stage, and one for each backend."""

from br2net.benchmarks.latency.record import Row

STAGE_COLOURS = {"preprocess": "c3", "transfer": "c4", "inference": "c1", "postprocess": "c2"}
BACKEND_COLOURS = {"torch": "c5", "onnxruntime": "c2", "openvino": "c1", "tensorrt": "c3"}
SERIES = ("c1", "c2", "c3", "c4", "c5")


def colour_of(row: Row) -> str:
    """By its backend."""
    return BACKEND_COLOURS.get(row.backend, "c4")


def milliseconds(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.1f} ms" if value >= 10 else f"{value:.2f} ms"
