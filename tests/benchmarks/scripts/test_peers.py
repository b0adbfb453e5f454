"""Bare calls of engines beside this package's requests: both compute the same maps, and a slow one is found out."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.scripts.peers import Duel, fight, network_input, onnxruntime_call, openvino_call
from br2net.benchmarks.latency.statistics import Ratio
from br2net.runtime.backends import open_backend

FRAME = np.random.default_rng(0).integers(0, 256, (32, 64, 3), np.uint8)


def test_bare_calls_agree_with_each_other_and_with_a_request(tiny_onnx: Path) -> None:
    bare = onnxruntime_call(tiny_onnx)
    with open_backend(tiny_onnx, "onnxruntime") as backend:
        batch = network_input(FRAME, backend.metadata.normalisation)
        duel = fight("onnxruntime", bare, backend, FRAME, 3)
    np.testing.assert_allclose(bare(batch), openvino_call(tiny_onnx, batch.shape, "f32")(batch), atol=1e-4)
    assert duel.difference < 1e-5
    assert duel.ratio.rounds == 3


@pytest.mark.parametrize(
    ("ratio", "low", "verdict"),
    [(1.02, 1.01, "as fast"), (1.08, 1.06, "TOO SLOW"), (1.08, 0.8, "too noisy to tell")],
)
def test_more_than_five_per_cent_is_too_slow_unless_it_may_be_chance(ratio: float, low: float, verdict: str) -> None:
    assert Duel("x", 1.0, ratio, Ratio(ratio, low, 1.2, 10), 0.0).verdict == verdict
