"""Bare calls and duels: that both sides compute the same maps, and that a slow one is told."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.scripts.peers.bare import onnxruntime_call, openvino_call
from benchmarks.scripts.peers.duel import Duel, Pair, fight
from br2net.benchmarks.latency.statistics import Ratio
from br2net.benchmarks.latency.timing import Method
from br2net.runtime.backends import open_backend

BATCH = np.random.default_rng(0).random((1, 3, 32, 64), np.float32)


def test_bare_calls_agree_with_each_other_and_with_ours(tiny_onnx: Path) -> None:
    bare = [onnxruntime_call(tiny_onnx), openvino_call(tiny_onnx, BATCH.shape, "f32")]
    maps = [call(BATCH) for call in bare]
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-4)
    with open_backend(tiny_onnx, "onnxruntime") as backend:
        [found] = fight([Pair("onnxruntime", bare[0], backend.infer)], BATCH, Method(1, 3, 0.0))
    assert found.difference == 0.0
    assert found.ratio is not None


def test_a_peer_that_this_package_has_not_is_timed_alone(tiny_onnx: Path) -> None:
    [found] = fight([Pair("alone", onnxruntime_call(tiny_onnx), None)], BATCH, Method(1, 2, 0.0))
    assert found.ours_ms is found.ratio is None
    assert not found.too_slow


@pytest.mark.parametrize(
    ("ratio", "low", "too_slow", "unsure"),
    [(1.02, 1.01, False, False), (1.08, 1.06, True, False), (1.08, 0.8, False, True)],
)
def test_more_than_five_per_cent_is_too_slow_unless_it_may_be_chance(
    ratio: float, low: float, too_slow: bool, unsure: bool
) -> None:
    duel = Duel("x", 1.0, ratio, Ratio(ratio, low, 1.2, 10), 0.0)
    assert (duel.too_slow, duel.is_unsure) == (too_slow, unsure)
