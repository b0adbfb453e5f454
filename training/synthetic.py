"""Synthetic defocus: disc kernels on in-focus material, composed in layers with soft edges."""

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Mask = NDArray[np.float32]
GAMMA = 2.2  # a lens blurs light, not grey levels


def disc_kernel(radius: float) -> NDArray[np.float32]:
    """The point spread of a defocused lens: a disc of `radius` pixels with an antialiased rim, summing to 1."""
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0.0, 1.0).astype(np.float32)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def defocus(image: Image, radius: float) -> Image:
    """Blur `(H, W, 3)` uint8 with a disc of `radius` pixels, in linear light."""
    light = (np.arange(256, dtype=np.float32) / 255.0) ** GAMMA
    blurred = cv2.filter2D(light[image], -1, disc_kernel(radius), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(np.rint(255.0 * np.clip(blurred, 0.0, 1.0) ** (1.0 / GAMMA)), dtype=np.uint8)


def compose(image: Image, shape: Mask, radius: float, foreground: bool) -> tuple[Image, Mask]:
    """Defocus one of two layers of an in-focus photograph.

    Args:
        image: `(H, W, 3)` uint8, in focus everywhere.
        shape: `(H, W)` float32, 0..1: where the defocused layer lies.
        radius: of the disc, pixels.
        foreground: the defocused layer is in front, so that its rim spreads over the sharp one; else it lies behind, and
            the sharp layer's rim stays hard.

    Returns:
        The photograph, and its mask `(H, W)` float32, 1 = blurred.
    """
    mask = (shape > 0.5).astype(np.float32)
    alpha = cv2.filter2D(mask, -1, disc_kernel(radius)) if foreground else cv2.GaussianBlur(mask, (3, 3), 0)
    weight = alpha[..., None]
    mixed = weight * defocus(image, radius) + (1.0 - weight) * image
    return np.asarray(np.rint(mixed), dtype=np.uint8), mask
