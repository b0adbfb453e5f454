"""How arrays are handed to the library."""

import numpy as np
from numpy.typing import NDArray

from br2net.runtime.native.library import CFrame
from br2net.types import PixelFormat


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
