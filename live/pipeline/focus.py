"""Focus aids: a sharpness score to drive an autofocus by, and focus peaking."""

import cv2
import numpy as np

from br2net.errors import ImageError
from br2net.types import THRESHOLD, Frame, Grey, Map

PEAKING_BGR = (0, 60, 255)  # red: the tint of what is blurred is blue
EDGE_SHARE = 0.25  # of the strongest gradients (99.5 %) in the frame, from which on an edge is marked
WEAKEST_EDGE = 60.0  # grey levels of Sobel's operator, below which it is noise


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
        raise ImageError(f"A frame must be uint8 of shape (H, W, 3) or (H, W), got {frame.dtype} {frame.shape}.")
    return grey_sharpness(np.asarray(frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)))


def grey_sharpness(grey: Grey) -> float:
    """Focus score of grey levels `(H, W)` uint8; see `sharpness`."""
    across = cv2.Sobel(grey, cv2.CV_16S, 1, 0)
    down = cv2.Sobel(grey, cv2.CV_16S, 0, 1)
    energy = cv2.norm(across, cv2.NORM_L2SQR) + cv2.norm(down, cv2.NORM_L2SQR)
    brightness = float(cv2.mean(grey)[0])
    return float(energy / grey.size / max(brightness, 1.0) ** 2)


def focus_peaking(picture: Frame, frame: Frame, blur: Map) -> Frame:
    """Mark strong edges where the map says that the frame is in focus.

    Args:
        picture: uint8 `(H, W, 3)` BGR, what is marked: the frame itself, or its overlay.
        frame: uint8 `(H, W, 3)` BGR.
        blur: `(H, W)` float32, 0 = in focus, 1 = blurred.

    Returns:
        uint8 `(H, W, 3)` BGR, a new array.
    """
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    gradient = cv2.magnitude(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    least = max(WEAKEST_EDGE, EDGE_SHARE * float(np.percentile(gradient[::4, ::4], 99.5)))
    marked = picture.copy()
    marked[(gradient >= least) & (blur < THRESHOLD)] = PEAKING_BGR
    return marked
