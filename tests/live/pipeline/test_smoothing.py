import math

import numpy as np

from br2net.live.pipeline.stages import Smoother


def test_after_one_time_constant_a_step_has_come_through_by_63_percent_at_any_rate() -> None:
    for frames in (1, 10, 37):
        smoother = Smoother(2.0)
        smoother.apply(np.zeros((4, 5), np.float32), 100.0)
        for index in range(frames):
            smooth = smoother.apply(np.ones((4, 5), np.float32), 100.0 + 2.0 * (index + 1) / frames)
        np.testing.assert_allclose(smooth, 1.0 - math.exp(-1.0), atol=1e-5)


def test_the_first_map_and_one_of_another_size_come_through_whole() -> None:
    smoother = Smoother(5.0)
    first = np.full((4, 4), 0.3, np.float32)
    assert np.array_equal(smoother.apply(first, 0.0), first)
    other = np.full((2, 8), 0.9, np.float32)
    assert np.array_equal(smoother.apply(other, 0.1), other)


def test_time_that_runs_backwards_changes_nothing() -> None:
    smoother = Smoother(1.0)
    smoother.apply(np.zeros((2, 2), np.float32), 10.0)
    np.testing.assert_array_equal(smoother.apply(np.ones((2, 2), np.float32), 9.0), np.zeros((2, 2)))
