"""Focus peaking: edges that are in focus, marked as cameras mark them."""

import cv2
import numpy as np

from br2net.types import THRESHOLD, Frame, Map

COLOUR_BGR = (0, 60, 255)  # red: the tint of what is blurred is blue
EDGE_SHARE = 0.25  # of the strongest gradients (99.5 %) in the frame, from which on an edge is marked
WEAKEST_EDGE = 60.0  # grey levels of Sobel's operator, below which it is noise


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
    marked[(gradient >= least) & (blur < THRESHOLD)] = COLOUR_BGR
    return marked
