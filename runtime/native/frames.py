"""How arrays are handed to the library."""

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from br2net.errors import InputError
from br2net.runtime.native.library import CFrame


class PixelFormat(Enum):
    """How a camera lays out its pixels in a uint8 array.

    BGR: `(H, W, 3)`. NV12: `(H * 3 / 2, W)`, the luma above pairs of chroma of two by two pixels; H and W even.
    YUYV: `(H, W, 2)`, luma and, in turn, either chroma; W even.
    """

    BGR = 0
    NV12 = 1
    YUYV = 2

    def size_of(self, frame: NDArray[np.uint8]) -> tuple[int, int]:
        """Width and height of a frame, pixels.

        Raises:
            InputError: if the array is not one of this format.
        """
        shape = frame.shape
        wanted, fits = {
            PixelFormat.BGR: ("(H, W, 3)", len(shape) == 3 and shape[2] == 3),
            PixelFormat.NV12: (
                "(H * 3 / 2, W), H and W even",
                len(shape) == 2 and shape[0] % 3 == 0 and not shape[1] % 2,
            ),
            PixelFormat.YUYV: ("(H, W, 2), W even", len(shape) == 3 and shape[2] == 2 and not shape[1] % 2),
        }[self]
        if frame.dtype != np.uint8 or not fits or not frame.size:
            raise InputError(f"A {self.name} frame is uint8 {wanted}; this is {frame.dtype} {shape}.")
        return shape[1], shape[0] * 2 // 3 if self is PixelFormat.NV12 else shape[0]


def with_whole_rows(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The frame itself where each of its rows lies in one piece, ascending; else a copy."""
    row = frame.strides[1:]
    whole = row == np.empty((1, *frame.shape[1:]), np.uint8).strides[1:]
    return frame if whole and frame.strides[0] >= frame[0].size else np.ascontiguousarray(frame)


def describe(frame: NDArray[np.uint8], pixels: PixelFormat = PixelFormat.BGR) -> CFrame:
    """A frame that `with_whole_rows` gave, for the library; valid while the array lives."""
    width, height = pixels.size_of(frame)
    pitch = frame.strides[0]
    address = frame.ctypes.data
    chroma = address + height * pitch if pixels is PixelFormat.NV12 else None
    return CFrame(address, chroma, pitch, pitch, width, height, pixels.value, 0)
