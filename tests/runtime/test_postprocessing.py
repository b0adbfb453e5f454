"""From network output to pictures, against PyTorch's interpolation and NumPy."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from br2net.runtime.postprocessing import TINT_BGR, Wanted, overlay, postprocess, to_grey
from br2net.types import Frame, Map


def to_frame_size(blur: Map, width: int, height: int) -> Map:
    full = postprocess(blur, np.zeros((height, width, 3), np.uint8), (width, height), Wanted.MAP).map
    assert full is not None
    return full


@pytest.mark.parametrize("size", [(100, 75), (64, 32), (20, 10), (1, 1)])
def test_a_map_is_brought_to_the_frame_bilinearly(size: tuple[int, int]) -> None:
    blur = np.random.default_rng(6).random((32, 64), dtype=np.float32)
    width, height = size
    expected = functional.interpolate(torch.from_numpy(blur)[None, None], (height, width), mode="bilinear")[0, 0]
    resized = to_frame_size(blur, width, height)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, expected.numpy(), atol=2e-3)


def test_a_map_stays_within_0_and_1() -> None:
    blur = np.array([[-0.5, 1.5]], np.float32)
    np.testing.assert_array_equal(to_frame_size(blur, 2, 1), [[0.0, 1.0]])
    wide = to_frame_size(blur, 8, 4)
    assert (wide.min(), wide.max()) == (0.0, 1.0)


def test_a_map_of_the_right_size_is_copied() -> None:
    blur = np.full((4, 4), 0.5, np.float32)
    assert not np.shares_memory(to_frame_size(blur, 4, 4), blur)


def test_grey_levels_are_rounded_to_the_nearest() -> None:
    blur = np.linspace(0.0, 1.0, 10_001, dtype=np.float32).reshape(1, -1)
    exact = blur.astype(np.float64) * 255.0
    grey = to_grey(blur)
    assert grey.dtype == np.uint8
    assert np.abs(grey - exact).max() <= 0.5 + 1e-4
    assert (grey[0, 0], grey[0, -1]) == (0, 255)


def test_what_is_in_focus_is_left_untouched(photograph: Frame) -> None:
    blur = np.zeros(photograph.shape[:2], np.float32)
    blur[:, :50] = 1.0
    tinted = overlay(photograph, blur)
    np.testing.assert_array_equal(tinted[:, 50:], photograph[:, 50:])
    assert (tinted[:, :50] != photograph[:, :50]).any(axis=2).all()


def test_every_grey_level_in_focus_is_left_untouched() -> None:
    levels = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    np.testing.assert_array_equal(overlay(levels, np.zeros((16, 16), np.float32)), levels)


def test_a_tint_is_blended_by_the_map() -> None:
    rng = np.random.default_rng(7)
    frame = rng.integers(0, 256, (1100, 5, 3), dtype=np.uint8)  # taller than one strip
    blur = rng.random((1100, 5), dtype=np.float32)
    weight = (blur * 0.6)[:, :, None].astype(np.float64)
    np.testing.assert_allclose(overlay(frame, blur), weight * TINT_BGR + (1.0 - weight) * frame, atol=0.51)


def test_the_frame_itself_is_not_changed(photograph: Frame) -> None:
    before = photograph.copy()
    overlay(photograph, np.ones(photograph.shape[:2], np.float32))
    np.testing.assert_array_equal(photograph, before)
