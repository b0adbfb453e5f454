"""Synthetic defocus against its definition."""

import numpy as np
import pytest
from scipy.signal import convolve2d

from br2net.training.synthetic import Plane, compose, defocus, defocus_plane, disc_kernel, random_plane


@pytest.mark.parametrize("radius", [1.0, 2.5, 7.0])
def test_a_disc_kernel_sums_to_one_and_has_the_discs_area(radius: float) -> None:
    kernel = disc_kernel(radius)
    assert kernel.sum() == pytest.approx(1.0, abs=1e-5)
    assert 1.0 / kernel.max() == pytest.approx(np.pi * (radius + 0.0) ** 2, rel=0.15)
    assert np.allclose(kernel, kernel.T) and np.allclose(kernel, kernel[::-1])


def test_defocus_is_a_convolution_in_linear_light() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    kernel = disc_kernel(3.0)
    expected = convolve2d((image[..., 1] / 255.0) ** 2.2, kernel, mode="valid") ** (1 / 2.2) * 255.0
    got = defocus(image, 3.0)[3:-3, 3:-3, 1]
    assert np.abs(got - expected).max() <= 0.51


def test_a_flat_area_stays_as_it_is() -> None:
    image = np.full((30, 30, 3), 117, np.uint8)
    assert np.array_equal(defocus(image, 5.0), image)


def test_the_layer_behind_is_blurred_and_the_layer_in_front_stays() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    shape = np.zeros((60, 80), np.float32)
    shape[:, :40] = 1.0
    composed, mask = compose(image, shape, 4.0, foreground=False)
    assert np.array_equal(composed[:, 45:], image[:, 45:])
    assert np.array_equal(composed[:, :35], defocus(image, 4.0)[:, :35])
    assert np.array_equal(mask, shape)


def test_the_rim_of_a_blurred_foreground_spreads_over_what_lies_behind() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    shape = np.zeros((60, 80), np.float32)
    shape[:, :40] = 1.0
    composed, _ = compose(image, shape, 4.0, foreground=True)
    assert not np.array_equal(composed[:, 41:43], image[:, 41:43])
    assert np.array_equal(composed[:, 46:], image[:, 46:])


def test_a_plane_is_sharp_in_its_band_and_blurred_far_from_it() -> None:
    image = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    plane = Plane(degrees=0.0, centre=0.1, half_width=0.1, slope=40.0, largest=5.0)
    blurred, mask = defocus_plane(image, plane)
    band = slice(41, 55)  # 48 +- 8 rows, less a row
    assert np.array_equal(blurred[band], image[band]) and not mask[band].any()
    far = slice(0, 29)  # 8 rows of the band's half and 10 rows until the disc has 5 pixels, above row 48
    assert np.array_equal(blurred[far], defocus(image, 5.0)[far]) and mask[far].all()
    two = 36  # 12 rows above the middle, 4 of them beyond the band: 2 pixels of radius
    assert np.array_equal(blurred[two], defocus(image, 2.0)[two])


def test_a_plane_of_one_side_leaves_the_other_alone() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    below, _ = defocus_plane(image, Plane(0.0, 0.0, 0.0, slope=60.0, largest=6.0, sides=1))
    above, _ = defocus_plane(image, Plane(0.0, 0.0, 0.0, slope=60.0, largest=6.0, sides=-1))
    right, mask = defocus_plane(image, Plane(90.0, 0.0, 0.0, slope=60.0, largest=6.0, sides=1))
    assert np.array_equal(below[:20], image[:20]) and not np.array_equal(below[25:], image[25:])
    assert np.array_equal(above[21:], image[21:]) and not np.array_equal(above[:15], image[:15])
    assert np.array_equal(right[:, :30], image[:, :30]) and mask[:, 35:].all()


def test_random_planes_show_both_focus_and_defocus() -> None:
    rng = np.random.default_rng(4)
    masks = [defocus_plane(np.zeros((64, 64, 3), np.uint8), random_plane(64, rng))[1].mean() for _ in range(60)]
    assert 0.2 < float(np.mean(masks)) < 0.8
    assert sum(0.05 < mask < 0.95 for mask in masks) > 40
