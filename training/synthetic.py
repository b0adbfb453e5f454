"""Synthetic defocus: disc kernels on in-focus material, composed in layers with soft edges, or over a receding plane."""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Mask = NDArray[np.float32]
GAMMA = 2.2  # a lens blurs light, not grey levels
SMALLEST_VISIBLE = 1.2 / 320  # radius over the side of the image: what less than it blurs still counts as in focus


@dataclass(frozen=True)
class Plane:
    """Radius of the disc over a plane seen at a slant: 0 in a band, growing with the distance from it.

    Attributes:
        degrees: angle of the band against the rows.
        centre: of the band, its distance from the image's centre over the side of the image.
        half_width: of the band, in the same unit.
        slope: pixels of radius per side of the image.
        largest: radius, pixels.
        sides: which side runs out of focus: 1 below the band (before it), -1 above it (behind it), 0 both.
    """

    degrees: float
    centre: float
    half_width: float
    slope: float
    largest: float
    sides: int = 0

    def radii(self, height: int, width: int) -> NDArray[np.float32]:
        """`(height, width)` float32, pixels."""
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        angle = np.deg2rad(self.degrees)
        along = ((x - width / 2) * np.sin(angle) + (y - height / 2) * np.cos(angle)) / max(height, width) - self.centre
        beyond = np.abs(along) if self.sides == 0 else along * self.sides
        radii = np.clip((beyond - self.half_width) * self.slope, 0.0, self.largest)
        return np.asarray(radii, dtype=np.float32)


def random_plane(size: int, rng: np.random.Generator) -> Plane:
    """Mostly level, as ground is, at times upright, as walls are; for an image of `size` by `size` pixels."""
    upright = rng.random() < 0.2
    both = rng.random() < 0.6
    return Plane(
        degrees=float(rng.normal(90.0 if upright else 0.0, 12.0)),
        centre=float(rng.uniform(-0.45, 0.45)),
        half_width=float(rng.uniform(0.025, 0.15)) if both else 0.0,
        slope=float(rng.uniform(8.0, 40.0)) * size / 320,
        largest=float(rng.uniform(4.0, 9.0)) * size / 320,
        sides=0 if both else int(rng.choice([-1, 1])),
    )


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


def defocus_plane(image: Image, plane: Plane) -> tuple[Image, Mask]:
    """Defocus a photograph as if all it shows lay on one plane.

    Args:
        image: `(H, W, 3)` uint8, in focus everywhere.
        plane: radius of the disc at each pixel. Between a few radii that are computed, pixels are mixed.

    Returns:
        The photograph, and its mask `(H, W)` float32, 1 = blurred: where the radius is visible.
    """
    height, width = image.shape[:2]
    radii = plane.radii(height, width)
    levels = [level for level in (0.0, 1.0, 2.0, 4.0) if level < plane.largest] + [plane.largest]
    images = [image.astype(np.float32)] + [defocus(image, level).astype(np.float32) for level in levels[1:]]
    mixed = images[-1].copy()
    for index, (low, high) in enumerate(pairwise(levels)):
        share = ((radii - low) / (high - low))[..., None]
        between = (radii >= low) & (radii < high)
        mixed = np.where(between[..., None], (1.0 - share) * images[index] + share * images[index + 1], mixed)
    mask = (radii > SMALLEST_VISIBLE * max(height, width)).astype(np.float32)
    return np.asarray(np.rint(mixed), dtype=np.uint8), mask
