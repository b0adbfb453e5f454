"""Which layers hurt, in a model in which one was made to."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from br2net.calibration.activations import measure
from br2net.calibration.gate import maps_of, sqnr_db
from br2net.calibration.layers import matching, read_float_model
from br2net.calibration.quantiser import Quantiser
from br2net.calibration.sensitivity import measure_sensitivity, worst
from br2net.types import Frame


@pytest.fixture
def spoilt(model: Path) -> Path:
    """Its wide layer reads a channel that is a thousand times the others, whose steps are so coarse that they are lost."""
    proto = onnx.load(model)
    for item in proto.graph.initializer:
        value = numpy_helper.to_array(item).copy()
        if item.name == "body.1.point.weight":
            value[0] *= 1000.0
        elif item.name == "body.1.point.bias":
            value[0] = 0.0
        elif item.name == "head.0.wide.weight":
            value[:, 0] *= 1e-6
        item.CopyFrom(numpy_helper.from_array(value, item.name))
    onnx.save(proto, model)
    return model


def quantiser_of(model: Path, frames: list[Frame]) -> Quantiser:
    float32 = read_float_model(model)
    return Quantiser(float32, measure(float32, frames, correct_bias=False))


def frames_of(count: int) -> list[Frame]:
    rng = np.random.default_rng(5)
    return [np.clip(rng.normal(128, 50, (64, 64, 3)), 0, 255).astype(np.uint8) for _ in range(count)]


def test_the_layer_that_was_made_to_hurt_is_found(spoilt: Path) -> None:
    frames = frames_of(3)
    found = measure_sensitivity(quantiser_of(spoilt, frames), set(), "layer", frames)
    (one,) = worst(found, 1)
    assert one.group.name == "head.0.wide"
    assert one.gain_db == max(item.gain_db for item in found) > 3.0


def test_each_layer_is_measured_alone_and_kept_as_if_by_hand(model: Path) -> None:
    frames = frames_of(2)
    quantiser = quantiser_of(model, frames)
    nodes = {layer.label: layer.node for layer in quantiser.model.layers}
    kept = matching(quantiser.model.layers, ["map"])
    found = {item.group.name: item for item in measure_sensitivity(quantiser, kept, "layer", frames)}
    references = maps_of(quantiser.model.proto, frames)
    alone = maps_of(quantiser.int8(set(nodes.values()) - {nodes["body.0.stem"]}), frames)
    without = maps_of(quantiser.int8({*kept, nodes["body.0.stem"]}), frames)
    gaps = [np.abs(a - b).mean() for a, b in zip(alone, references, strict=True)]
    assert found["body.0.stem"].alone.mae == pytest.approx(np.mean(gaps), rel=1e-4)
    assert found["body.0.stem"].kept.sqnr_db == pytest.approx(sqnr_db(without, references))
    assert [name for name, item in found.items() if item.stays] == ["head.0.last"]
    assert found["head.0.last"].gain_db == 0.0


def test_blocks_hold_all_layers_once(model: Path) -> None:
    frames = frames_of(1)
    found = measure_sensitivity(quantiser_of(model, frames), set(), "block", frames)
    assert [item.group.name for item in found] == ["body.0", "body.1", "head.0"]
    assert sum(len(item.group.nodes) for item in found) == len(read_float_model(model).layers)


def test_sqnr_is_power_over_power() -> None:
    reference = np.full((4, 4), 0.5, np.float32)
    assert sqnr_db([reference + np.float32(0.05)], [reference]) == pytest.approx(20.0, abs=1e-4)
    assert sqnr_db([reference], [reference]) == float("inf")
