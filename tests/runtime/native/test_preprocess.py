"""The compiled preprocess, against NumPy with 64-bit floats and against OpenCV."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from br2net.errors import InputError
from br2net.runtime import preprocessing
from br2net.runtime.metadata import IMAGENET
from br2net.runtime.native import cpu, is_available
from br2net.runtime.preprocessing import preprocess
from br2net.types import PixelFormat

from . import reference

pytestmark = pytest.mark.skipif(not is_available(), reason="the native part is not built here")

Bytes = NDArray[np.uint8]
ONE = (1.0, 1.0, 1.0)
NONE = (0.0, 0.0, 0.0)


def noise(*shape: int) -> Bytes:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)


def levels(frame: Bytes, width: int, height: int, pixels: PixelFormat = PixelFormat.BGR, threads: int = 1) -> Bytes:
    """Grey levels of the network's input, of any size: `(height, width, 3)` BGR."""
    planes = np.full((3, height, width), np.nan, np.float32)
    cpu.preprocess(frame, pixels, planes, ONE, NONE, threads)
    whole = planes.astype(np.uint8)
    np.testing.assert_array_equal(whole, planes)
    return np.ascontiguousarray(whole[::-1].transpose(1, 2, 0))


SIZES = [  # of the frame, of the input
    ((1280, 720), (384, 384)),
    ((641, 427), (288, 288)),
    ((96, 64), (32, 32)),
    ((64, 64), (32, 32)),
    ((128, 96), (64, 96)),
    ((33, 35), (32, 32)),
    ((13, 7), (31, 29)),
    ((1, 1), (5, 3)),
    ((1, 1), (1, 1)),
    ((5, 1), (2, 4)),
    ((1, 9), (3, 2)),
    ((50, 90), (64, 32)),
    ((50, 32), (64, 32)),
    ((300, 3), (2, 2)),
]


@pytest.mark.parametrize(("own", "wanted"), SIZES)
def test_levels_are_those_of_exact_arithmetic(own: tuple[int, int], wanted: tuple[int, int]) -> None:
    frame = noise(own[1], own[0], 3)
    grows = wanted[0] > own[0] or wanted[1] > own[1]
    tolerance = 1.0 if grows else 0.5 + 1e-3  # eleven bits of weight where it grows; else the nearest level
    np.testing.assert_allclose(levels(frame, *wanted), reference.resized(frame, *wanted), atol=tolerance)


@pytest.mark.parametrize(("own", "wanted"), SIZES)
def test_levels_are_those_of_opencv(own: tuple[int, int], wanted: tuple[int, int]) -> None:
    frame = noise(own[1], own[0], 3)
    difference = np.abs(levels(frame, *wanted).astype(np.int16) - preprocessing.resize(frame, *wanted))
    assert difference.max() <= 1
    assert difference.mean() <= 0.02  # the same bits on x86-64; elsewhere OpenCV may decide halves in another way


@given(own=st.tuples(st.integers(1, 90), st.integers(1, 90)), wanted=st.tuples(st.integers(1, 70), st.integers(1, 70)))
@settings(max_examples=60, deadline=None)
def test_any_size_becomes_any_size(own: tuple[int, int], wanted: tuple[int, int]) -> None:
    frame = noise(own[1], own[0], 3)
    mixed = (wanted[0] > own[0]) != (
        wanted[1] > own[1]
    )  # two steps: a half that went the other way in the first one counts, too
    tolerance = 2.0 if mixed else 1.0
    np.testing.assert_allclose(levels(frame, *wanted), reference.resized(frame, *wanted), atol=tolerance)


def test_network_input_is_that_of_opencv(photograph: Bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = preprocess([photograph], 320, 288, IMAGENET)
    monkeypatch.setenv("BR2NET_NATIVE", "0")
    difference = np.abs(compiled - preprocess([photograph], 320, 288, IMAGENET))
    assert difference.mean() < 1e-3
    assert difference.max() <= 1.01 / 255 / min(IMAGENET.std)


@pytest.mark.parametrize("gap", [1, 7, 64])
def test_rows_may_lie_apart(gap: int) -> None:
    wide = noise(40, 50 + gap, 3)
    np.testing.assert_array_equal(levels(wide[:, :50], 32, 32), levels(wide[:, :50].copy(), 32, 32))


@pytest.mark.parametrize("view", [np.s_[::-1], np.s_[:, ::-1], np.s_[::2, ::2], np.s_[:, :, ::-1]])
def test_views_in_any_order_are_read_rightly(view: slice) -> None:
    frame = noise(40, 50, 3)[view]
    np.testing.assert_array_equal(levels(frame, 16, 16), levels(frame.copy(), 16, 16))


@pytest.mark.parametrize(
    ("own", "wanted"), [((1280, 720), (384, 320)), ((700, 500), (800, 640)), ((640, 300), (320, 608))]
)
def test_threads_change_nothing(own: tuple[int, int], wanted: tuple[int, int]) -> None:
    frame = noise(own[1], own[0], 3)
    np.testing.assert_array_equal(levels(frame, *wanted, threads=1), levels(frame, *wanted, threads=5))


@pytest.mark.parametrize("size", [(64, 48), (2, 2), (130, 6)])
@pytest.mark.parametrize("pixels", [PixelFormat.NV12, PixelFormat.YUYV])
def test_video_levels_become_pixels_as_in_opencv(pixels: PixelFormat, size: tuple[int, int]) -> None:
    width, height = size
    nv12 = pixels is PixelFormat.NV12
    frame = noise(height * 3 // 2, width) if nv12 else noise(height, width, 2)
    expected = cv2.cvtColor(frame, cv2.COLOR_YUV2BGR_NV12 if nv12 else cv2.COLOR_YUV2BGR_YUY2)
    np.testing.assert_array_equal(levels(frame, width, height, pixels), expected)
    np.testing.assert_array_equal(levels(frame, 33, 3, pixels), levels(np.asarray(expected, np.uint8), 33, 3))


@pytest.mark.parametrize("pixels", [PixelFormat.NV12, PixelFormat.YUYV])
def test_rows_of_video_may_lie_apart(pixels: PixelFormat) -> None:
    wide = noise(48, 70) if pixels is PixelFormat.NV12 else noise(32, 70, 2)
    np.testing.assert_array_equal(levels(wide[:, :64], 32, 32, pixels), levels(wide[:, :64].copy(), 32, 32, pixels))


@pytest.mark.parametrize("native", ["0", "1"])
def test_video_frames_become_network_input_with_and_without_the_library(
    native: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BR2NET_NATIVE", native)
    frame = noise(96, 64)
    bgr = np.asarray(cv2.cvtColor(frame, cv2.COLOR_YUV2BGR_NV12), np.uint8)
    batch = preprocess([frame], 32, 32, IMAGENET, pixels=PixelFormat.NV12)
    np.testing.assert_array_equal(batch, preprocess([bgr], 32, 32, IMAGENET))


@pytest.mark.parametrize(
    ("shape", "pixels"),
    [
        ((48, 64), PixelFormat.BGR),
        ((48, 64, 4), PixelFormat.BGR),
        ((0, 4, 3), PixelFormat.BGR),
        ((47, 64), PixelFormat.NV12),
        ((48, 63), PixelFormat.NV12),
        ((48, 63, 2), PixelFormat.YUYV),
    ],
)
@pytest.mark.parametrize("native", ["0", "1"])
def test_an_array_of_another_format_is_refused(
    shape: tuple[int, ...], pixels: PixelFormat, native: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BR2NET_NATIVE", native)
    with pytest.raises(InputError, match=f"A {pixels.name} frame must be uint8"):
        preprocess([np.zeros(shape, np.uint8)], 32, 32, IMAGENET, pixels=pixels)


def test_half_precision_is_rounded_as_numpy_rounds_it() -> None:
    frame = noise(50, 70, 3)
    single, half = np.empty((3, 33, 31), np.float32), np.empty((3, 33, 31), np.float16)
    for scale, shift in [
        ((0.017, 0.0175, 0.0174), (-2.1, -2.0, -1.8)),
        ((1e-7, 3e-8, 1e-9), NONE),
        ((900.0, 1e4, 256.0), NONE),
    ]:
        cpu.preprocess(frame, PixelFormat.BGR, single, scale, shift)
        cpu.preprocess(frame, PixelFormat.BGR, half, scale, shift)
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(half, single.astype(np.float16))
