"""Photographs made of two: an in-focus subject before another background, and two photographs side by side.

Both keep each part's own focus, so the mask is known; what surrounds a subject no longer tells whether it is in focus.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Mask = NDArray[np.float32]
FEATHER = 5  # pixels: masks are drawn by hand, and a hard cut would betray the subject


def paste_subject(image: Image, mask: Mask, background: Image, background_mask: Mask) -> tuple[Image, Mask]:
    """Put what is in focus in one photograph before another.

    Args:
        image: `(H, W, 3)` uint8, whose in-focus part is the subject.
        mask: `(H, W)` float32, 0..1, 1 = blurred: of `image`.
        background: of the same size.
        background_mask: of `background`.

    Returns:
        The photograph, and its mask: in focus where either is, unknown where either is. What is unknown of `image`
        stays with the subject.
    """
    weight = cv2.GaussianBlur(np.nan_to_num(mask, nan=0.0), (FEATHER, FEATHER), 0)[..., None]
    mixed = weight * background + (1.0 - weight) * image
    return np.asarray(np.rint(mixed), dtype=np.uint8), mask * background_mask


def side_by_side(first: tuple[Image, Mask], second: tuple[Image, Mask], share: float, rows: bool) -> tuple[Image, Mask]:
    """Take the leading `share` (0..1) of the rows, or of the columns, from the first photograph and the rest from the other.

    Args:
        first: photograph `(H, W, 3)` uint8 and mask `(H, W)` float32.
        second: the same, of the same size.
        share: of the first.
        rows: cut along a row; else along a column.
    """
    axis = 0 if rows else 1
    cut = round(first[1].shape[axis] * share)
    leading = (slice(None),) * axis + (slice(cut),)
    image, mask = second[0].copy(), second[1].copy()
    image[leading], mask[leading] = first[0][leading], first[1][leading]
    return image, mask
