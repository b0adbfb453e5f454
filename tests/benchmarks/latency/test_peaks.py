"""The measured peaks: that what is timed is done, and in the precision that it is called."""

import numpy as np

from br2net.benchmarks.latency.peaks import LINE, _repeat_copy, measure_peaks


def test_a_repeated_copy_copies() -> None:
    size, repeats = 1024, 5
    source = np.random.default_rng(0).random(size // 8 + repeats * LINE // 8)
    target = np.zeros_like(source)
    _repeat_copy(source, target, size, repeats)
    reached = size // 8 + (repeats - 1) * LINE // 8
    np.testing.assert_array_equal(target[:reached], source[:reached])
    assert not target[reached:].any()


def test_peaks_name_fp32_and_every_copy_is_of_its_size() -> None:
    peaks = measure_peaks(seconds=0.0, largest_copy=1 << 20)
    assert peaks.macs_per_second["fp32"] > 0.0
    assert set(peaks.macs_per_second) <= {"fp32", "bf16", "fp16", "int8"}
    assert [copy.bytes_moved for copy in peaks.copies] == [1 << 18, 1 << 20]
    assert peaks.source == "measured"
