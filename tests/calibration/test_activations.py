"""Histograms and thresholds against NumPy; bias correction against what float32 gives on average."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime

from br2net.calibration.activations import BINS, Calibration, MagnitudeHistogram, measure
from br2net.calibration.layers import matching, read_float_model
from br2net.calibration.quantiser import Quantiser
from br2net.runtime.preprocessing import preprocess
from br2net.types import Frame


def values_of(model: onnx.ModelProto, tensor: str, frames: list[Frame], path: Path) -> np.ndarray:
    """The values of a tensor for all frames, by an ONNX Runtime that fuses nothing."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.append(onnx.ValueInfoProto(name=tensor))
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(copy.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    facts = read_float_model(path).metadata
    images = [preprocess([frame], facts.width, facts.height, facts.normalisation) for frame in frames]
    return np.concatenate([session.run([tensor], {"image": image})[0] for image in images])


def test_histogram_counts_as_numpy_does_when_larger_values_come_later() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(0.0, deviation, 5000).astype(np.float32) for deviation in (1.0, 3.0, 9.0)]
    histogram = MagnitudeHistogram()
    for part in parts:
        histogram.add(part)
    everything = np.abs(np.concatenate(parts)).astype(np.float64)
    expected, _ = np.histogram(everything, BINS // 64, (0.0, histogram.limit))
    found = histogram.counts.reshape(-1, 64).sum(axis=1)
    assert histogram.largest == everything.max()
    assert np.abs(found - expected).max() <= 1  # a value on the edge of a bin may fall to either side
    assert found.sum() == 15000


def test_threshold_has_least_squared_error_of_the_rounded_values(model: Path, photographs: list[Frame]) -> None:
    frames = photographs[:4]
    found = measure(read_float_model(model), frames, correct_bias=False).thresholds
    values = np.abs(values_of(onnx.load(model), "r1", frames, model)).astype(np.float64)

    def error(threshold: float) -> float:
        scale = threshold / 127
        return float(np.square(values - np.clip(np.rint(values / scale), 0, 127) * scale).sum())

    least = min(error(values.max() * step / 200) for step in range(1, 201))
    assert error(found["r1"]) <= 1.02 * least


def test_corrected_layer_has_the_mean_of_float32(model: Path) -> None:
    noise = np.random.default_rng(4).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
    frames = [cv2.GaussianBlur(item, (3, 3), 0) for item in noise]
    float32 = read_float_model(model)
    others = {layer.node for layer in float32.layers} - matching(float32.layers, ["body.1.point"])  # 1x1: no border
    calibration = measure(float32, frames, correct_bias=True)
    shifts = []
    for used in (replace(calibration, means={}), calibration):
        quantiser = Quantiser(float32, used)
        means = [
            values_of(proto, "c2", frames, model).mean(axis=(0, 2, 3), dtype=np.float64)
            for proto in (float32.proto, quantiser.int8(others))
        ]
        shifts.append(np.abs(means[1] - means[0]).max())
    assert isinstance(calibration, Calibration)
    assert shifts[1] < 1e-5 < 1e-4 < shifts[0]
