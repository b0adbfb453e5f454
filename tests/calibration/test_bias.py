"""Bias correction: what INT8 gives is, on average, what float32 gives."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from br2net.calibration.layers import find_layers, matching
from br2net.calibration.quantiser import Quantiser, calibrate_layers
from br2net.calibration.thresholds import measure_histograms


def channel_means(model: onnx.ModelProto, tensor: str, images: list[np.ndarray]) -> np.ndarray:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.append(onnx.ValueInfoProto(name=tensor))
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(copy.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    values = [session.run([tensor], {"image": image})[0] for image in images]
    return np.asarray(np.concatenate(values).mean(axis=(0, 2, 3), dtype=np.float64))


def test_the_mean_of_a_corrected_layer_is_that_of_float32(model: Path) -> None:
    rng = np.random.default_rng(4)
    images = [rng.normal(0.0, 0.4, (1, 3, 64, 64)).astype(np.float32) for _ in range(6)]
    layers = find_layers(model)
    others = {layer.node for layer in layers} - matching(layers, ["body.1.point"])  # 1x1: no border to disturb it
    histograms = measure_histograms(model, layers, images)
    shifts = []
    for correct in (False, True):
        quantiser = Quantiser(model, calibrate_layers(model, layers, histograms, images, "mse", correct))
        expected = channel_means(quantiser.float32(), "c2", images)
        shifts.append(np.abs(channel_means(quantiser.int8(others), "c2", images) - expected).max())
    assert shifts[1] < 1e-5 < 3e-4 < shifts[0]
