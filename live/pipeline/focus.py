"""How sharp a frame is, as a number to drive an autofocus by."""

import cv2
import numpy as np

from br2net.errors import ImageError
from br2net.types import Frame, Grey


def sharpness(frame: Frame) -> float:
    """Focus score of a frame: larger is sharper.

    The mean squared gradient (Tenenbaum's measure, with Sobel's operator) over the squared mean brightness, so that exposure
    cancels out. It rises steadily towards the best focus, also from far away, where finer measures are flat; it compares
    frames of one scene, not different scenes.

    Args:
        frame: uint8 `(H, W, 3)` BGR, or `(H, W)` grey.

    Raises:
        ImageError: if it is of another kind or empty.
    """
    if frame.dtype != np.uint8 or frame.ndim not in (2, 3) or not frame.size:
        raise ImageError(f"A frame is uint8 of shape (H, W, 3) or (H, W); this is {frame.dtype} {frame.shape}.")
    return grey_sharpness(frame if frame.ndim == 2 else to_grey_levels(frame))


def to_grey_levels(frame: Frame) -> Grey:
    """Brightness of a frame: uint8 `(H, W)`."""
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def grey_sharpness(grey: Grey) -> float:
    """Focus score of grey levels `(H, W)` uint8; see `sharpness`."""
    across = cv2.Sobel(grey, cv2.CV_16S, 1, 0)
    down = cv2.Sobel(grey, cv2.CV_16S, 0, 1)
    energy = cv2.norm(across, cv2.NORM_L2SQR) + cv2.norm(down, cv2.NORM_L2SQR)
    brightness = float(cv2.mean(grey)[0])
    return float(energy / grey.size / max(brightness, 1.0) ** 2)
