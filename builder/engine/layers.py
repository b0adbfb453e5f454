"""How many layers of an engine run in which precision, from the inspector's JSON."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

_PRECISIONS = (  # narrowest first: a convolution of int8 input and fp16 output computes in int8
    ("int8", re.compile(r"int8", re.I)),
    ("fp8", re.compile(r"fp8|e4m3", re.I)),
    ("bf16", re.compile(r"bf16|bfloat", re.I)),
    ("fp16", re.compile(r"fp16|half", re.I)),
    ("fp32", re.compile(r"fp32|float", re.I)),
)
_MOVES_DATA = ("reformat", "noop", "shuffle", "constant", "signal", "wait")


def count_layers(inspector_json: str) -> dict[str, int]:
    """Number of layers per precision; layers that only move data are left out.

    Args:
        inspector_json: from `IEngineInspector.get_engine_information(LayerInformationFormat.JSON)`, of an engine built
            with detailed profiling verbosity; of any other, each layer is only a name and counts as `unknown`.
    """
    layers = json.loads(inspector_json).get("Layers", [])
    counts = Counter(precision_of(layer) for layer in layers if not _moves_data(layer))
    return dict(sorted(counts.items()))


def mostly_fp32(counts: Mapping[str, int], precision: str) -> str | None:
    """A warning where an engine of a narrow precision has more fp32 layers than others, otherwise None."""
    known = sum(counts.values()) - counts.get("unknown", 0)
    if precision == "fp32" or known == 0 or counts.get("fp32", 0) * 2 <= known:
        return None
    return (
        f"This {precision} engine is mostly fp32: {counts['fp32']} of {known} layers; it will not be faster than fp32."
    )


def _moves_data(layer: Any) -> bool:
    kind = str(layer.get("LayerType", "")) if isinstance(layer, dict) else ""
    return kind.lower() in _MOVES_DATA


def precision_of(layer: Any) -> str:
    """The narrowest type among the inputs and outputs of one of the inspector's layers."""
    if not isinstance(layer, dict):
        return "unknown"
    tensors = [*layer.get("Inputs", []), *layer.get("Outputs", [])]
    formats = [str(tensor.get("Format/Datatype", "")) for tensor in tensors if isinstance(tensor, dict)]
    for name, pattern in _PRECISIONS:
        if any(pattern.search(text) for text in formats):
            return name
    return "unknown"
