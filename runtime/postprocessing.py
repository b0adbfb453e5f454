"""From network output to what a user sees: the map at the frame's size, as grey levels and as an overlay."""

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]
Frame = NDArray[np.uint8]
TINT_BGR = (235, 80, 30)  # blue: told apart from warm skin and green leaves, with every kind of colour vision
LARGEST_OPACITY = 0.6
STRIP_ROWS = 512


def to_frame_size(blur: Map, width: int, height: int) -> Map:
    """Resize a map `(h, w)` bilinearly to `(height, width)` float32, within 0..1."""
    if blur.shape == (height, width):
        return np.clip(blur, 0.0, 1.0)
    resized = np.asarray(cv2.resize(blur, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    return np.clip(resized, 0.0, 1.0, out=resized)


def to_grey(blur: Map) -> NDArray[np.uint8]:
    """Grey levels of a map `(H, W)` 0..1: uint8, 255 = blurred, rounded to the nearest level."""
    return np.asarray(cv2.convertScaleAbs(blur, alpha=255.0), dtype=np.uint8)  # without float copies of large maps


def overlay(frame: Frame, blur: Map, opacity: float = LARGEST_OPACITY) -> Frame:
    """Tint what is blurred blue, and leave what is in focus as it is.

    Args:
        frame: uint8 `(H, W, 3)` BGR.
        blur: `(H, W)` float32, 0..1.
        opacity: of the tint where the map is 1; 0..1.

    Returns:
        uint8 `(H, W, 3)` BGR, a new array.
    """
    tinted = np.empty(frame.shape, np.uint8)
    tint = np.full((min(STRIP_ROWS, len(frame)), *frame.shape[1:]), TINT_BGR, np.uint8)
    for top in range(0, len(frame), STRIP_ROWS):  # so that the weights of a large photograph need little memory
        rows = slice(top, top + STRIP_ROWS)
        weight = np.ascontiguousarray(blur[rows] * np.float32(opacity), dtype=np.float32)
        tinted[rows] = cv2.blendLinear(tint[: len(weight)], frame[rows], weight, 1.0 - weight)
    return tinted
