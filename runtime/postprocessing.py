"""From network output to what a user sees: the map at the frame's size, as grey levels and as an overlay."""

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]
Frame = NDArray[np.uint8]
TINT_BGR = (235, 80, 30)  # blue: told apart from warm skin and green leaves, with every kind of colour vision
LARGEST_OPACITY = 0.6


def to_frame_size(blur: Map, width: int, height: int) -> Map:
    """Resize a map `(h, w)` bilinearly to `(height, width)` float32, within 0..1."""
    if blur.shape != (height, width):
        blur = cv2.resize(blur, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32, copy=False)
    return np.clip(blur, 0.0, 1.0)


def to_grey(blur: Map) -> NDArray[np.uint8]:
    """Grey levels of a map `(H, W)` 0..1: uint8, 255 = blurred, rounded to the nearest level."""
    return np.rint(blur * 255.0).astype(np.uint8)


def overlay(frame: Frame, blur: Map, opacity: float = LARGEST_OPACITY) -> Frame:
    """Tint what is blurred blue, and leave what is in focus as it is.

    Args:
        frame: uint8 `(H, W, 3)` BGR.
        blur: `(H, W)` float32, 0..1.
        opacity: of the tint where the map is 1; 0..1.

    Returns:
        uint8 `(H, W, 3)` BGR, a new array.
    """
    tint = np.empty_like(frame)
    tint[:] = TINT_BGR
    weight = np.ascontiguousarray(blur * np.float32(opacity))
    return np.asarray(cv2.blendLinear(tint, frame, weight, 1.0 - weight), dtype=np.uint8)
