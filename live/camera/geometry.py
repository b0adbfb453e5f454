"""Size and rotation of frames."""

import cv2
import numpy as np

from br2net.live.camera.options import CameraOptions
from br2net.runtime.preprocessing import resize
from br2net.types import Frame

TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


class Geometry:
    """Brings frames to the size and rotation asked for, where the source does not."""

    def __init__(self, options: CameraOptions, turned: bool) -> None:
        """Take from `options` what is left to do; nothing where the source itself has `turned` (and sized) its frames."""
        self._size = None if turned else options.size
        self._turn = None if turned or options.rotate == 0 else TURNS[options.rotate]

    def apply(self, frame: Frame) -> Frame:
        """The frame at its size, turned: uint8 `(H, W, 3)`; the frame itself where nothing is asked."""
        if self._size is not None:
            frame = resize(frame, *self._size)
        if self._turn is not None:
            frame = np.asarray(cv2.rotate(frame, self._turn), dtype=np.uint8)
        return frame
