"""Blur maps of a model that is still in memory, by ONNX Runtime on the CPU."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from br2net.runtime.onnxruntime.rounding import with_float32_quantisers
from br2net.types import Batch, Map

if TYPE_CHECKING:
    from onnx import ModelProto


def maps_of(model: "ModelProto", batches: Iterable[Batch]) -> list[Map]:
    """Blur maps `(h, w)` float32 of batches of one image each, `(1, 3, h, w)`."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    source = with_float32_quantisers(model).SerializeToString()
    session = onnxruntime.InferenceSession(source, settings, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return [np.asarray(session.run(None, {name: batch})[0][0, 0], np.float32) for batch in batches]


def sqnr_db(maps: Iterable[Map], references: Iterable[Map]) -> float:
    """Signal to quantisation noise, decibel: power of the references over that of the differences, all pixels alike."""
    signal = noise = 0.0
    for found, reference in zip(maps, references, strict=True):
        signal += float(np.square(reference, dtype=np.float64).sum())
        noise += float(np.square(found.astype(np.float64) - reference).sum())
    if noise == 0.0:
        return float("inf")
    return 10.0 * float(np.log10(signal / noise)) if signal else float("-inf")
