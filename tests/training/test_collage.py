"""Photographs made of two: each pixel and its mask come from the same one."""

import numpy as np

from br2net.training.collage import FEATHER, paste_subject, side_by_side


def two_photographs() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (60, 80, 3), dtype=np.uint8) for _ in range(2)]


def test_the_subject_stays_and_the_rest_is_the_background() -> None:
    image, background = two_photographs()
    mask = np.ones((60, 80), np.float32)
    mask[20:40, 30:60] = 0.0
    pasted, pasted_mask = paste_subject(image, mask, background, np.ones_like(mask))
    inside = (slice(20 + FEATHER, 40 - FEATHER), slice(30 + FEATHER, 60 - FEATHER))
    assert np.array_equal(pasted[inside], image[inside])
    assert np.array_equal(pasted[: 20 - FEATHER], background[: 20 - FEATHER])
    assert np.array_equal(pasted_mask, mask)


def test_what_is_in_focus_in_the_background_stays_in_focus() -> None:
    image, background = two_photographs()
    mask, background_mask = np.ones((60, 80), np.float32), np.ones((60, 80), np.float32)
    mask[:10], background_mask[:, :20] = 0.0, 0.0
    _, pasted_mask = paste_subject(image, mask, background, background_mask)
    assert np.array_equal(pasted_mask == 0.0, (mask == 0.0) | (background_mask == 0.0))


def test_halves_come_from_their_own_photographs() -> None:
    first, second = two_photographs()
    masks = np.zeros((60, 80), np.float32), np.ones((60, 80), np.float32)
    image, mask = side_by_side((first, masks[0]), (second, masks[1]), share=0.25, rows=False)
    assert np.array_equal(image, np.hstack([first[:, :20], second[:, 20:]]))
    assert np.array_equal(mask, np.hstack([masks[0][:, :20], masks[1][:, 20:]]))
    image, mask = side_by_side((first, masks[0]), (second, masks[1]), share=0.5, rows=True)
    assert np.array_equal(image, np.vstack([first[:30], second[30:]]))
    assert mask.mean() == 0.5


def test_unknown_pixels_of_either_photograph_stay_unknown_and_leave_the_picture_alone() -> None:
    image, background = two_photographs()
    mask, background_mask = np.zeros((60, 80), np.float32), np.zeros((60, 80), np.float32)
    mask[:10], background_mask[:, :20] = np.nan, np.nan
    pasted, pasted_mask = paste_subject(image, mask, background, background_mask)
    assert np.array_equal(np.isnan(pasted_mask), np.isnan(mask) | np.isnan(background_mask))
    assert np.array_equal(pasted, image)
