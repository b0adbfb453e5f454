"""Augmentation: crops, flips, what cameras and files do to a photograph, and synthetic defocus.

Synthetic defocus is a disc kernel on in-focus material, composed in layers with soft edges.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from br2net.runtime.preprocessing import resize
from br2net.training.recipe import Augmentation
from br2net.types import Frame, Map

GAMMA = 2.2  # a lens blurs light, not grey levels
ROUNDING = 1e-4  # a share of unknown pixels up to this is rounding of the resize


@dataclass(frozen=True)
class Box:
    """A rectangle of a photograph, pixels."""

    left: int
    top: int
    width: int
    height: int

    def of(self, array: NDArray) -> NDArray:  # type: ignore[type-arg]
        """The part of `(H, W, …)` inside the rectangle, not copied."""
        return array[self.top : self.top + self.height, self.left : self.left + self.width]


def random_box(height: int, width: int, settings: Augmentation, rng: np.random.Generator) -> Box:
    """Draw the crop of a photograph of `height` by `width` pixels."""
    if settings.fixed_crop:
        crop_height, crop_width = min(settings.fixed_crop, height), min(settings.fixed_crop, width)
    elif rng.random() < settings.whole_probability:
        return Box(0, 0, width, height)
    else:
        part = rng.uniform(settings.smallest_crop, 1.0)
        jitter = math.exp(rng.uniform(-0.5, 0.5) * math.log(settings.aspect_jitter))
        crop_height = max(round(height * min(part * jitter, 1.0)), 1)
        crop_width = max(round(width * min(part / jitter, 1.0)), 1)
    top = int(rng.integers(0, height - crop_height + 1))
    left = int(rng.integers(0, width - crop_width + 1))
    return Box(left, top, crop_width, crop_height)


def in_focus_box(mask: Map, rng: np.random.Generator, tries: int = 12, smallest: float = 0.3) -> Box | None:
    """Look for a rectangle that is in focus everywhere; None where `tries` draws found none."""
    height, width = mask.shape
    for _ in range(tries):
        part_y, part_x = rng.uniform(smallest, 1.0, size=2)
        crop_height, crop_width = max(int(height * part_y), 1), max(int(width * part_x), 1)
        top = int(rng.integers(0, height - crop_height + 1))
        left = int(rng.integers(0, width - crop_width + 1))
        box = Box(left, top, crop_width, crop_height)
        if float(box.of(mask).mean()) < 0.01:
            return box
    return None


def geometry(image: Frame, mask: Map, size: int, settings: Augmentation, rng: np.random.Generator) -> tuple[Frame, Map]:
    """Rotate, crop, flip and resize to `(size, size)`, photograph and mask alike."""
    if settings.rotation_degrees:
        image, mask = _rotate(image, mask, rng.uniform(-settings.rotation_degrees, settings.rotation_degrees))
    box = random_box(mask.shape[0], mask.shape[1], settings, rng)
    image, mask = box.of(image), box.of(mask)
    image = resize(image, size, size)
    mask = resize_mask(mask, size, size)
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    return np.ascontiguousarray(image), np.ascontiguousarray(mask)


def resize_mask(mask: Map, width: int, height: int) -> Map:
    """Resize a mask by area; a pixel is unknown (NaN) where any unknown pixel contributes to it."""
    unknown = np.isnan(mask)
    small = cv2.resize(np.where(unknown, np.float32(0.0), mask), (width, height), interpolation=cv2.INTER_AREA)
    small = np.clip(small, 0.0, 1.0)
    if unknown.any():
        share = cv2.resize(unknown.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        small[share > ROUNDING] = np.nan
    return np.asarray(small, dtype=np.float32)


def photometry(image: Frame, settings: Augmentation, rng: np.random.Generator) -> Frame:
    """Brightness, contrast, gamma, white balance, saturation; then sensor noise and JPEG compression.

    None of these changes what is in focus, so the mask stays.
    """
    strength = settings.photometric
    if strength:
        image = np.asarray(cv2.LUT(image, _tone_curves(strength, rng)), dtype=np.uint8)
        if rng.random() < 0.3:
            grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
            keep = rng.uniform(0.0, 1.0)
            image = np.asarray(cv2.addWeighted(image, keep, grey, 1.0 - keep, 0.0), dtype=np.uint8)
    if rng.random() < settings.noise_probability:
        noise = rng.standard_normal(image.shape[:2], dtype=np.float32) * rng.uniform(1.0, 6.0)
        image = np.clip(image + noise[..., None], 0, 255).astype(np.uint8)
    if rng.random() < settings.jpeg_probability:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 96))])
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
    return image


def _tone_curves(strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """`(256, 1, 3)` look-up table: one gamma, contrast and brightness for all channels, one gain for each."""
    levels = np.linspace(0.0, 1.0, 256, dtype=np.float32)
    curve = levels ** math.exp(rng.uniform(-strength, strength) * 1.4)
    curve = (curve - 0.5) * (1.0 + rng.uniform(-strength, strength)) + 0.5 + rng.uniform(-strength, strength) * 0.5
    gains = 1.0 + rng.uniform(-strength, strength, size=3) * 0.3
    table = np.clip(curve[:, None] * gains, 0.0, 1.0) * 255.0
    return np.ascontiguousarray(np.rint(table).astype(np.uint8).reshape(256, 1, 3))


def _rotate(image: Frame, mask: Map, degrees: float) -> tuple[Frame, Map]:
    height, width = mask.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    border = cv2.BORDER_REFLECT_101
    turned = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border)
    turned_mask = cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(turned, dtype=np.uint8), np.asarray(turned_mask, dtype=np.float32)


def disc_kernel(radius: float) -> NDArray[np.float32]:
    """The point spread of a defocused lens: a disc of `radius` pixels with an antialiased rim, summing to 1."""
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0.0, 1.0).astype(np.float32)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def defocus(image: Frame, radius: float) -> Frame:
    """Blur `(H, W, 3)` uint8 with a disc of `radius` pixels, in linear light."""
    light = (np.arange(256, dtype=np.float32) / 255.0) ** GAMMA
    blurred = cv2.filter2D(light[image], -1, disc_kernel(radius), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(np.rint(255.0 * np.clip(blurred, 0.0, 1.0) ** (1.0 / GAMMA)), dtype=np.uint8)


def compose(image: Frame, shape: Map, radius: float, foreground: bool) -> tuple[Frame, Map]:
    """Defocus one of two layers of an in-focus photograph.

    Args:
        image: `(H, W, 3)` uint8, in focus everywhere.
        shape: `(H, W)` float32, 0..1: where the defocused layer lies.
        radius: radius of the disc, pixels.
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
