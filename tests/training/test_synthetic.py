"""Synthetic defocus against its definition."""

import numpy as np
import pytest
from scipy.signal import convolve2d

from br2net.training.augment import compose, defocus, disc_kernel


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
