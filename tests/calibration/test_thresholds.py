"""Histograms and thresholds, against NumPy."""

import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from br2net.calibration.histograms import BINS, MagnitudeHistogram
from br2net.calibration.layers import find_layers
from br2net.calibration.thresholds import find_thresholds, measure_histograms


def batches(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.normal(0.0, 0.4, (1, 3, 64, 64)).astype(np.float32) for _ in range(count)]


def values_of(model: Path, tensor: str, images: list[np.ndarray]) -> np.ndarray:
    proto = onnx.load(model)
    proto.graph.output.append(onnx.ValueInfoProto(name=tensor))
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run([tensor], {"image": image})[0] for image in images])


def test_a_histogram_counts_as_numpy_does_also_when_larger_values_come_later() -> None:
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


def test_percentile_leaves_one_value_of_ten_thousand_above(model: Path) -> None:
    images = batches(4)
    found = find_thresholds(measure_histograms(model, find_layers(model), images), "percentile")
    for tensor in ("image", "r2"):
        values = np.abs(np.concatenate(images) if tensor == "image" else values_of(model, tensor, images))
        assert (values > found[tensor]).mean() <= 1e-4 <= (values > 0.95 * found[tensor]).mean()


def test_mse_finds_the_cut_of_least_squared_error(model: Path) -> None:
    images = batches(4)
    found = find_thresholds(measure_histograms(model, find_layers(model), images), "mse")
    values = np.abs(values_of(model, "r1", images)).astype(np.float64)

    def error(threshold: float) -> float:
        scale = threshold / 127
        return float(np.square(values - np.clip(np.rint(values / scale), 0, 127) * scale).sum())

    least = min(error(values.max() * step / 200) for step in range(1, 201))
    assert error(found["r1"]) <= 1.02 * least
    assert found["r1"] < values.max()


def test_entropy_cuts_where_the_divergence_by_its_definition_is_least() -> None:
    rng = np.random.default_rng(6)
    values = np.concatenate([rng.laplace(0.0, 1.0, 20000), rng.uniform(30.0, 40.0, 3)]).astype(np.float32)
    histogram = MagnitudeHistogram()
    histogram.add(values)
    threshold = find_thresholds({"x": histogram}, "entropy")["x"]
    counts, _ = np.histogram(np.abs(values), 2048, (0.0, float(histogram.limit)))
    counts[0] = 0
    by_hand = {cut: divergence_by_hand(list(map(float, counts)), cut) for cut in range(128, 2049, 64)}
    found = divergence_by_hand(list(map(float, counts)), round(threshold / histogram.limit * 2048))
    assert found <= min(by_hand.values()) + 1e-3
    assert np.percentile(np.abs(values), 99) < threshold < 30.0


def divergence_by_hand(counts: list[float], cut: int) -> float:
    """The definition of Migacz (GTC 2017), bin by bin."""
    wanted = counts[:cut]
    spread = [0.0] * cut
    for level in range(128):
        bins = [index for index in range(cut) if index * 128 // cut == level and counts[index] > 0]
        total = sum(counts[index] for index in bins)
        for index in bins:
            spread[index] = total / len(bins)
    wanted[-1] += sum(counts[cut:])
    p = [value / sum(wanted) for value in wanted]
    q = [value / sum(spread) for value in spread]
    return sum(a * math.log(a / max(b, 1e-12)) for a, b in zip(p, q, strict=True) if a > 0)


@pytest.mark.slow
def test_max_agrees_with_nvidias_optimizer(model: Path) -> None:
    from modelopt.onnx.quantization import quantize

    images = batches(2)
    output = model.with_name("modelopt.onnx")
    quantize(
        str(model),
        quantize_mode="int8",
        calibration_data={"image": np.concatenate(images)},
        calibration_method="max",
        calibration_eps=["cpu"],
        calibration_shapes="image:1x3x64x64",
        op_types_to_quantize=["Conv"],
        high_precision_dtype="fp32",
        output_path=str(output),
    )
    graph = onnx.load(output).graph
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    theirs = {
        node.input[0]: float(constants[node.input[1]]) * 127
        for node in graph.node
        if node.op_type == "QuantizeLinear" and constants[node.input[1]].ndim == 0
    }
    ours = find_thresholds(measure_histograms(model, find_layers(model), images), "max")
    common = set(theirs) & set(ours)
    assert common
    assert {name: ours[name] for name in common} == pytest.approx({name: theirs[name] for name in common}, rel=1e-3)
