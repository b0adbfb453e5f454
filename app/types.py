"""Types and constants that every stage shares."""

from abc import ABC, abstractmethod
from enum import Enum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from br2net.errors import InputError

Frame = NDArray[np.uint8]
"""uint8 `(H, W, 3)` BGR, unless a `PixelFormat` says otherwise."""
Map = NDArray[np.float32]
"""float32 `(H, W)`, 0 = in focus, 1 = blurred."""
Batch = NDArray[np.float32]
"""float32 `(N, C, h, w)`: network input (`C` = 3, normalised RGB) or network output (`C` = 1, blur maps)."""
Grey = NDArray[np.uint8]
"""uint8 `(H, W)`."""

C = TypeVar("C", bound="Closing")
THRESHOLD = 0.5
"""A pixel counts as blurred where its map value is at least this."""


class Closing(ABC):
    """Base class of context managers whose block ends with `close`."""

    @abstractmethod
    def close(self) -> None:
        """Free what is held."""

    def __enter__(self: C) -> C:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PixelFormat(Enum):
    """Pixel layout of a uint8 frame.

    BGR: `(H, W, 3)`. NV12: `(H * 3 / 2, W)`, luma above interleaved chroma at half resolution; H and W even.
    YUYV: `(H, W, 2)`, luma and alternating chroma; W even.
    """

    BGR = 0
    NV12 = 1
    YUYV = 2

    def size_of(self, frame: Frame) -> tuple[int, int]:
        """Return the width and height of a frame, in pixels.

        Raises:
            InputError: if the array does not have this layout.
        """
        shape = frame.shape
        expected, fits = {
            PixelFormat.BGR: ("(H, W, 3)", len(shape) == 3 and shape[2] == 3),
            PixelFormat.NV12: (
                "(H * 3 / 2, W), H and W even",
                len(shape) == 2 and shape[0] % 3 == 0 and not shape[1] % 2,
            ),
            PixelFormat.YUYV: ("(H, W, 2), W even", len(shape) == 3 and shape[2] == 2 and not shape[1] % 2),
        }[self]
        if frame.dtype != np.uint8 or not frame.size or not fits:
            raise InputError(f"A {self.name} frame must be uint8 {expected}, got {frame.dtype} {shape}.")
        return shape[1], shape[0] * 2 // 3 if self is PixelFormat.NV12 else shape[0]
