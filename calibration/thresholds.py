"""Calibration methods: from what flows through a tensor to the largest magnitude that INT8 shall represent."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from br2net.calibration.histograms import BINS, Batch, MagnitudeHistogram, observe
from br2net.calibration.layers import Layer
from br2net.errors import MissingDependencyError

Method = Literal["entropy", "max", "percentile", "mse"]
METHODS: tuple[Method, ...] = get_args(Method)
BY_MODELOPT: tuple[Method, ...] = ("entropy", "max")
LEVELS = 127  # of either sign; -128 stays unused, so that zero is the middle
PERCENTILE = 0.9999
CANDIDATES = 96  # thresholds that `mse` tries

Thresholds = Mapping[str, float]


def find_thresholds(path: Path, layers: Sequence[Layer], batches: Sequence[Batch], method: Method) -> Thresholds:
    """The largest magnitude to represent of each tensor that `layers` read.

    Args:
        path: of the float32 ONNX file.
        layers: of that file.
        batches: preprocessed photographs, float32 `(N, 3, h, w)`.
        method: `max` takes the largest magnitude seen, `entropy` the cut that keeps most information (both by NVIDIA's
            Model Optimizer), `percentile` the one that 99.99 % of the values stay below, `mse` the one of least squared
            error of the rounded and cut values.

    Raises:
        MissingDependencyError: if Model Optimizer or ONNX Runtime is not installed.
    """
    if method in BY_MODELOPT:
        return _by_modelopt(path, layers, batches, method)
    histograms = {layer.input: MagnitudeHistogram() for layer in layers}
    observe(path, list(histograms), batches, lambda name, value: histograms[name].add(value))
    choose = _least_squared_error if method == "mse" else _percentile
    return {name: choose(histogram) for name, histogram in histograms.items()}


def _percentile(histogram: MagnitudeHistogram) -> float:
    share = np.cumsum(histogram.counts) / max(histogram.counts.sum(), 1.0)
    index = int(np.searchsorted(share, PERCENTILE))
    return min((index + 1) * histogram.limit / BINS, histogram.largest) or histogram.limit


def _least_squared_error(histogram: MagnitudeHistogram) -> float:
    errors = [squared_error(histogram, histogram.largest * step / CANDIDATES) for step in range(1, CANDIDATES + 1)]
    return histogram.largest * (int(np.argmin(errors)) + 1) / CANDIDATES or histogram.limit


def squared_error(histogram: MagnitudeHistogram, threshold: float) -> float:
    """Summed squared error of the values when they are rounded to 127 steps of `threshold` and cut there."""
    if threshold <= 0.0:
        return float("inf")
    centres: NDArray[np.float64] = histogram.centres
    scale = threshold / LEVELS
    rounded = np.clip(np.rint(centres / scale), 0, LEVELS) * scale
    return float((histogram.counts * (centres - rounded) ** 2).sum())


def _by_modelopt(path: Path, layers: Sequence[Layer], batches: Sequence[Batch], method: Method) -> Thresholds:
    """What modelopt's calibrator finds, read from the scales of the graph that it writes."""
    import onnx

    try:
        from modelopt.onnx.quantization import quantize
    except ImportError as error:
        raise MissingDependencyError(
            f"The method {method} needs NVIDIA's Model Optimizer: `pip install 'nvidia-modelopt[onnx]'`."
        ) from error
    logging.getLogger("modelopt").setLevel(logging.ERROR)
    name = onnx.load(path).graph.input[0].name
    shape = "x".join(map(str, (1, *batches[0].shape[1:])))
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "calibrated.onnx"
        quantize(
            str(path),
            quantize_mode="int8",
            calibration_data={name: np.concatenate(batches)},
            calibration_method=method,
            calibration_eps=["cpu"],
            calibration_shapes=f"{name}:{shape}",
            op_types_to_quantize=["Conv"],
            nodes_to_quantize=[layer.node for layer in layers],
            high_precision_dtype="fp32",
            output_path=str(output),
            log_level="ERROR",
        )
        graph = onnx.load(output).graph
    constants = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    scales = {
        node.input[0]: float(constants[node.input[1]]) * LEVELS
        for node in graph.node
        if node.op_type == "QuantizeLinear" and constants[node.input[1]].ndim == 0
    }
    return {layer.input: scales[layer.input] for layer in layers}
