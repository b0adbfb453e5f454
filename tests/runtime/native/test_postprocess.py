"""The compiled postprocess, against NumPy with 64-bit floats and against OpenCV."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from br2net.runtime.native import cpu, is_available
from br2net.runtime.postprocessing import TINT_BGR, Outputs, Wanted, overlay, postprocess
from br2net.types import THRESHOLD

from . import reference

pytestmark = pytest.mark.skipif(not is_available(), reason="the native part is not built here")

Float = NDArray[np.float32]
EVERYTHING = Wanted.MAP | Wanted.GREY | Wanted.FRACTION | Wanted.HISTOGRAM | Wanted.OVERLAY
SIZES = [
    ((96, 64), (321, 203)),
    ((64, 64), (30, 20)),
    ((7, 5), (7, 5)),
    ((1, 1), (9, 4)),
    ((3, 1), (1, 1)),
    ((20, 90), (61, 40)),
]


def random_map(width: int, height: int) -> Float:
    return np.random.default_rng(width * height).random((height, width), dtype=np.float32) * 1.2 - np.float32(0.1)


def to_frame_size(blur: Float, width: int, height: int) -> Float:
    full = postprocess(blur, noise(width, height), (width, height), Wanted.MAP).map
    assert full is not None
    return full


def exact(blur: Float, width: int, height: int) -> NDArray[np.float64]:
    down, across = reference.interpolation(len(blur), height), reference.interpolation(blur.shape[1], width)
    return np.clip(down @ blur.astype(np.float64) @ across.T, 0.0, 1.0)


def noise(width: int, height: int) -> NDArray[np.uint8]:
    return np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("own", "wanted"), SIZES)
def test_a_map_is_brought_to_the_frame_bilinearly(own: tuple[int, int], wanted: tuple[int, int]) -> None:
    blur = random_map(*own)
    full = to_frame_size(blur, *wanted)
    np.testing.assert_allclose(full, exact(blur, *wanted), atol=1e-4)  # places along a side are 32-bit floats
    assert full.min() >= 0.0 and full.max() <= 1.0


@given(own=st.tuples(st.integers(1, 40), st.integers(1, 40)), wanted=st.tuples(st.integers(1, 90), st.integers(1, 90)))
@settings(max_examples=60, deadline=None)
def test_a_map_of_any_size_fits_any_frame(own: tuple[int, int], wanted: tuple[int, int]) -> None:
    blur = random_map(*own)
    np.testing.assert_allclose(to_frame_size(blur, *wanted), exact(blur, *wanted), atol=1e-4)


@pytest.mark.parametrize(("own", "wanted"), SIZES)
def test_all_outputs_of_one_pass_agree_with_numpy(own: tuple[int, int], wanted: tuple[int, int]) -> None:
    frame = noise(*wanted)
    made = postprocess(random_map(*own), frame, wanted, EVERYTHING)
    assert made.map is not None and made.grey is not None and made.overlay is not None
    levels = made.map.astype(np.float64) * 255.0
    assert np.abs(made.grey - levels).max() <= 0.5 + 1e-4
    np.testing.assert_array_equal(made.histogram, np.bincount(made.grey.ravel(), minlength=256))
    assert made.blurred_fraction == np.mean(made.map >= 0.5)
    weight = made.map[:, :, None].astype(np.float64) * 0.6
    np.testing.assert_allclose(made.overlay, weight * TINT_BGR + (1.0 - weight) * frame, atol=0.52)


def test_the_outputs_are_those_of_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    blur, frame = random_map(96, 64), noise(333, 211)
    compiled = postprocess(blur, frame, (333, 211), EVERYTHING)
    monkeypatch.setenv("BR2NET_NATIVE", "0")
    usual = postprocess(blur, frame, (333, 211), EVERYTHING)
    assert compiled.map is not None and usual.map is not None
    np.testing.assert_allclose(compiled.map, usual.map, atol=1e-3)
    for ours, theirs in [(compiled.grey, usual.grey), (compiled.overlay, usual.overlay)]:
        assert ours is not None and theirs is not None
        assert np.abs(ours.astype(np.int16) - theirs).max() <= 1
    assert compiled.histogram is not None and usual.histogram is not None
    assert compiled.histogram.sum() == usual.histogram.sum()
    assert compiled.blurred_fraction == pytest.approx(usual.blurred_fraction, abs=1e-3)


@pytest.mark.parametrize("native", ["0", "1"])
def test_only_wanted_outputs_are_made(native: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BR2NET_NATIVE", native)
    blur = np.full((2, 2), 0.5, np.float32)
    made = postprocess(blur, noise(4, 4), (4, 4), Wanted.HISTOGRAM)
    assert made.histogram is not None and made.histogram[128] == 16
    assert {name for name, value in vars(made).items() if value is not None} == {"histogram"}
    made = postprocess(blur, noise(4, 4), (4, 4), Wanted.FRACTION)
    assert made.blurred_fraction == 1.0
    assert {name for name, value in vars(made).items() if value is not None} == {"blurred_fraction"}


def same(ours: Outputs, theirs: Outputs) -> bool:
    return all(
        np.array_equal(getattr(ours, name), getattr(theirs, name)) for name in ("map", "grey", "histogram", "overlay")
    )


@pytest.mark.parametrize("size", [(1280, 720), (77, 1500)])
def test_threads_change_nothing(size: tuple[int, int]) -> None:
    blur, frame = random_map(64, 64), noise(*size)
    one, five = (postprocess(blur, frame, size, EVERYTHING, threads=threads) for threads in (1, 5))
    assert same(one, five)


def test_rows_of_a_frame_may_lie_apart() -> None:
    blur, wide = random_map(20, 20), noise(90, 30)
    np.testing.assert_array_equal(
        overlay(wide[:, 3:43], random_map(40, 30)), overlay(wide[:, 3:43].copy(), random_map(40, 30))
    )
    np.testing.assert_array_equal(to_frame_size(blur[::2, ::2], 40, 40), to_frame_size(blur[::2, ::2].copy(), 40, 40))


def test_not_a_number_stays_one_and_is_black() -> None:
    made = postprocess(np.full((3, 3), np.nan, np.float32), noise(3, 3), (3, 3), EVERYTHING)
    assert made.map is not None and np.isnan(made.map).all()
    assert made.grey is not None and not made.grey.any()
    np.testing.assert_array_equal(made.overlay, noise(3, 3))


@pytest.mark.parametrize("opacity", [0.0, 0.3, 1.0])
def test_a_tint_has_the_opacity_that_is_asked(opacity: float) -> None:
    frame, blur = noise(40, 30), np.clip(random_map(40, 30), 0.0, 1.0)
    weight = blur[:, :, None].astype(np.float64) * opacity
    tinted = overlay(frame, blur, opacity)
    np.testing.assert_allclose(tinted, weight * TINT_BGR + (1.0 - weight) * frame, atol=0.52)


def test_counts_are_added_to() -> None:
    histogram = np.ones(256, np.int64)
    assert cpu.postprocess(np.zeros((2, 2), np.float32), 2, 2, histogram=histogram) == 0
    assert (histogram[0], histogram.sum()) == (5, 260)


def test_the_threshold_is_that_of_a_blur_map() -> None:
    just_below = np.nextafter(np.float32(0.5), np.float32(0.0))
    blur = np.array([[0.5, just_below]], np.float32)
    assert postprocess(blur, noise(2, 1), (2, 1), Wanted.FRACTION).blurred_fraction == 0.5
    assert THRESHOLD == 0.5
