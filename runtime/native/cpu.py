"""The library's two verbs, for NumPy arrays. Only to be called where `is_available()`."""

from ctypes import byref, c_float, c_int32

import numpy as np
from numpy.typing import NDArray

from br2net.runtime.native.library import CFrame, CInput, CPictures, checked, open_library, thread_count
from br2net.types import PixelFormat

Scales = tuple[float, float, float]
Float = NDArray[np.float32]
Bytes = NDArray[np.uint8]


def preprocess(
    frame: Bytes, pixels: PixelFormat, planes: NDArray[np.generic], scale: Scales, shift: Scales, threads: int = 0
) -> None:
    """Resize one frame, normalise it and write its planes.

    Args:
        frame: uint8 in the layout of `pixels`.
        pixels: of the frame.
        planes: contiguous `(3, h, w)`, red, green, blue, float32 or float16; filled with `level * scale + shift`.
        scale: for red, green, blue.
        shift: likewise.
        threads: at most; 0 for OMP_NUM_THREADS, else all processors. Small frames take one.
    """
    source = _with_whole_rows(frame)
    height, width = planes.shape[1:]
    three = c_float * 3
    to = CInput(planes.ctypes.data, width, height, int(planes.dtype == np.float16), 0, three(*scale), three(*shift))
    checked(open_library().br2net_preprocess(byref(_describe(source, pixels)), byref(to), thread_count(threads)))


def postprocess(
    blur: Float,
    width: int,
    height: int,
    *,
    full_map: Float | None = None,
    grey: Bytes | None = None,
    overlay: Bytes | None = None,
    histogram: NDArray[np.int64] | None = None,
    frame: Bytes | None = None,
    opacity: float = 0.0,
    tint_bgr: tuple[int, int, int] = (0, 0, 0),
    threads: int = 0,
) -> int:
    """Enlarge a map bilinearly, and fill the arrays that are given, all contiguous, in one pass.

    Args:
        blur: float32 `(h, w)`.
        width: of the results, pixels.
        height: of the results, pixels.
        full_map: float32 `(height, width)`, within 0..1.
        grey: uint8 `(height, width)`, 255 = blurred.
        overlay: uint8 `(height, width, 3)`; needs `frame`, uint8 BGR of that shape.
        histogram: int64 `(256,)`; the grey levels are added to it.
        frame: what the overlay tints.
        opacity: of the tint where the map is 1; 0..1.
        tint_bgr: colour of the tint.
        threads: as for `preprocess`.

    Returns:
        How many pixels are at least 0.5.
    """
    source = np.ascontiguousarray(blur)
    whole = None if frame is None else _with_whole_rows(frame)
    blurred = np.zeros(1, np.int64)
    addresses = [None if item is None else item.ctypes.data for item in (full_map, grey, overlay, histogram, blurred)]
    pictures = CPictures(*addresses, width, height, opacity, (c_int32 * 3)(*tint_bgr))
    described = CFrame() if whole is None else _describe(whole)
    own_height, own_width = source.shape
    checked(
        open_library().br2net_postprocess(
            source.ctypes.data, own_width, own_height, byref(described), byref(pictures), thread_count(threads)
        )
    )
    return int(blurred[0])


def _with_whole_rows(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the frame itself where each of its rows lies in one piece, ascending; else a copy."""
    row = frame.strides[1:]
    whole = row == np.empty((1, *frame.shape[1:]), np.uint8).strides[1:]
    return frame if whole and frame.strides[0] >= frame[0].size else np.ascontiguousarray(frame)


def _describe(frame: NDArray[np.uint8], pixels: PixelFormat = PixelFormat.BGR) -> CFrame:
    """Describe a frame that `_with_whole_rows` gave to the library; valid while the array lives."""
    width, height = pixels.size_of(frame)
    pitch = frame.strides[0]
    address = frame.ctypes.data
    chroma = address + height * pitch if pixels is PixelFormat.NV12 else None
    return CFrame(address, chroma, pitch, pitch, width, height, pixels.value, 0)
