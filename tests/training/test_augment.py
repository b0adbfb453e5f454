"""Augmentation keeps photograph and mask together, and changes no focus."""

import cv2
import numpy as np

from br2net.training.augment import geometry, in_focus_box, photometry, random_box, resize_mask
from br2net.training.recipe import Augmentation

RNG_SEEDS = range(30)


def test_a_crop_lies_inside_the_photograph_and_keeps_the_stated_part() -> None:
    settings = Augmentation(smallest_crop=0.5, aspect_jitter=1.33, whole_probability=0.0)
    for seed in RNG_SEEDS:
        box = random_box(90, 120, settings, np.random.default_rng(seed))
        assert box.left >= 0 and box.top >= 0 and box.left + box.width <= 120 and box.top + box.height <= 90
        assert box.height >= 0.5 * 90 / 1.16 and box.width >= 0.5 * 120 / 1.16


def test_the_papers_crop_has_a_fixed_number_of_pixels() -> None:
    box = random_box(400, 500, Augmentation(fixed_crop=300), np.random.default_rng(0))
    assert (box.width, box.height) == (300, 300)


def test_photograph_and_mask_get_the_same_geometry() -> None:
    mask = np.zeros((90, 120), np.float32)
    cv2.circle(mask, (70, 40), 25, 1.0, -1)
    image = np.repeat((mask * 255).astype(np.uint8)[..., None], 3, axis=2)
    settings = Augmentation(rotation_degrees=10.0)
    for seed in RNG_SEEDS:
        turned, turned_mask = geometry(image, mask, 64, settings, np.random.default_rng(seed))
        assert turned.shape == (64, 64, 3) and turned_mask.shape == (64, 64)
        assert np.abs(turned[..., 0] / 255.0 - turned_mask).mean() < 0.02


def test_flips_happen_about_half_the_time() -> None:
    ramp = np.repeat(np.arange(100, dtype=np.uint8)[None, :, None], 50, axis=0).repeat(3, axis=2)
    settings = Augmentation(whole_probability=1.0)
    rng = np.random.default_rng(0)
    flipped = [geometry(ramp, np.zeros((50, 100), np.float32), 32, settings, rng)[0][0, 0, 0] > 50 for _ in range(200)]
    assert 70 < sum(flipped) < 130


def test_an_in_focus_box_holds_nothing_blurred() -> None:
    mask = np.ones((100, 100), np.float32)
    mask[:60, :70] = 0.0
    found = [in_focus_box(mask, np.random.default_rng(seed), tries=200) for seed in RNG_SEEDS]
    boxes = [box for box in found if box is not None]
    assert len(boxes) > len(found) / 2
    assert all(box.of(mask).mean() < 0.01 for box in boxes)


def test_a_photograph_blurred_everywhere_has_no_in_focus_box() -> None:
    assert in_focus_box(np.ones((50, 50), np.float32), np.random.default_rng(0)) is None


def test_tone_changes_are_off_for_the_paper() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    settings = Augmentation(photometric=0.0, jpeg_probability=0.0, noise_probability=0.0)
    assert np.array_equal(photometry(image, settings, np.random.default_rng(0)), image)


def test_tone_changes_keep_the_order_of_grey_levels() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    settings = Augmentation(jpeg_probability=0.0, noise_probability=0.0)
    for seed in RNG_SEEDS:
        toned = photometry(ramp, settings, np.random.default_rng(seed))
        assert np.all(np.diff(toned[0].astype(int), axis=0) >= 0)


def test_a_resized_pixel_is_unknown_where_an_unknown_pixel_contributes() -> None:
    rng = np.random.default_rng(0)
    mask = (rng.random((60, 90)) > 0.5).astype(np.float32)
    mask[rng.random((60, 90)) > 0.9] = np.nan
    cells = mask.reshape(20, 3, 30, 3)
    assert np.allclose(resize_mask(mask, 30, 20), cells.mean(axis=(1, 3)), atol=1e-6, equal_nan=True)


def test_unknown_pixels_stay_unknown_and_known_values_stay_exact_at_any_scale() -> None:
    mask = np.zeros((97, 131), np.float32)
    mask[:, 60:] = 1.0
    mask[:, 50:80] = np.nan
    for size in (32, 64, 200):
        small = resize_mask(mask, size, size)
        assert set(np.unique(small[~np.isnan(small)].round(5))) == {0.0, 1.0}
        assert np.isnan(small).mean() >= 30 / 131


def test_rotated_unknown_pixels_give_no_values_between() -> None:
    mask = np.zeros((90, 120), np.float32)
    mask[30:60, 30:90] = np.nan
    settings = Augmentation(rotation_degrees=10.0)
    image = np.zeros((90, 120, 3), np.uint8)
    for seed in RNG_SEEDS:
        _, turned = geometry(image, mask, 64, settings, np.random.default_rng(seed))
        assert np.isnan(turned).any() and not turned[~np.isnan(turned)].any()


def test_an_in_focus_box_holds_no_unknown_pixel() -> None:
    mask = np.zeros((100, 100), np.float32)
    mask[60:] = np.nan
    boxes = [box for seed in RNG_SEEDS if (box := in_focus_box(mask, np.random.default_rng(seed))) is not None]
    assert boxes and not any(np.isnan(box.of(mask)).any() for box in boxes)
