"""What a detector gives for one frame."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from br2net import BlurMap
from br2net.errors import InputError
from br2net.types import Frame


@pytest.fixture
def blur() -> BlurMap:
    values = np.array([[0.0, 0.2, 0.499], [0.5, 0.75, 1.0]], np.float32)
    return BlurMap(values, 1.0)


def test_half_and_more_counts_as_blurred(blur: BlurMap) -> None:
    assert blur.blurred_fraction == 0.5


def test_a_mask_holds_what_is_at_least_the_threshold(blur: BlurMap) -> None:
    assert blur.mask().tolist() == [[False, False, False], [True, True, True]]
    assert blur.mask(0.75).tolist() == [[False, False, False], [False, True, True]]


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_outside_0_to_1_is_refused(blur: BlurMap, threshold: float) -> None:
    with pytest.raises(InputError, match=r"lies in 0\.\.1"):
        blur.mask(threshold)


def test_an_overlay_leaves_what_is_in_focus_and_the_frame_untouched(blur: BlurMap) -> None:
    frame = np.full((2, 3, 3), 128, np.uint8)
    tinted = blur.overlay(frame)
    assert tinted[0, 0].tolist() == [128, 128, 128]
    assert (tinted[1] != 128).all()
    assert (frame == 128).all()


def test_an_overlay_of_no_opacity_is_the_frame(blur: BlurMap) -> None:
    frame = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    np.testing.assert_array_equal(blur.overlay(frame, 0.0), frame)


@pytest.mark.parametrize(
    ("frame", "opacity"),
    [
        (np.zeros((3, 2, 3), np.uint8), 0.6),
        (np.zeros((2, 3), np.uint8), 0.6),
        (np.zeros((2, 3, 3), np.float32), 0.6),
        (np.zeros((2, 3, 3), np.uint8), 1.5),
    ],
)
def test_an_overlay_that_is_not_possible_is_refused(blur: BlurMap, frame: Frame, opacity: float) -> None:
    with pytest.raises(InputError):
        blur.overlay(frame, opacity)


def test_maps_can_be_compared_and_hashed(blur: BlurMap) -> None:
    assert blur == blur
    assert blur in {blur}


def test_a_saved_map_is_white_where_it_is_blurred(blur: BlurMap, tmp_path: Path) -> None:
    blur.save(tmp_path / "blur.png")
    picture = cv2.imread(str(tmp_path / "blur.png"), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    assert picture.tolist() == [[0, 51, 127], [128, 191, 255]]
