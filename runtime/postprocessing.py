"""From network output to what a user sees: the map at the frame's size, as grey levels and as an overlay.

The compiled library does the work where it is there (`br2net.runtime.native`), else OpenCV: to one grey level and 1e-3.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from br2net.runtime.native import cpu, is_available

Map = NDArray[np.float32]
Frame = NDArray[np.uint8]
TINT_BGR = (235, 80, 30)  # blue: told apart from warm skin and green leaves, with every kind of colour vision
LARGEST_OPACITY = 0.6
THRESHOLD = 0.5
STRIP_ROWS = 512


@dataclass(frozen=True, eq=False)
class Pictures:
    """What `postprocess` makes of a network's map.

    Attributes:
        map: float32 `(height, width)`, 0..1.
        blurred_fraction: share of the pixels with a map of at least 0.5, 0..1.
        overlay: uint8 `(height, width, 3)` BGR; None where no frame was given.
        grey: uint8 `(height, width)`, 255 = blurred; None where it was not asked for.
        histogram: int64 `(256,)`, pixels of each grey level; likewise.
    """

    map: Map
    blurred_fraction: float
    overlay: Frame | None
    grey: NDArray[np.uint8] | None
    histogram: NDArray[np.int64] | None


def postprocess(
    blur: Map,
    width: int,
    height: int,
    *,
    frame: Frame | None = None,
    opacity: float = LARGEST_OPACITY,
    grey: bool = False,
    histogram: bool = False,
    threads: int = 0,
) -> Pictures:
    """All that is wanted of a network's map, in one pass.

    Args:
        blur: float32 `(h, w)`, as the network gives it.
        width: of the frame, pixels.
        height: of the frame, pixels.
        frame: uint8 `(height, width, 3)` BGR, for an overlay.
        opacity: of the tint where the map is 1; 0..1.
        grey: whether grey levels are wanted.
        histogram: whether their histogram is.
        threads: of the compiled library, at most; 0 for OMP_NUM_THREADS, else all processors.
    """
    if not is_available():
        full = to_frame_size(blur, width, height)
        tinted = None if frame is None else overlay(frame, full, opacity)
        levels = to_grey(full) if grey or histogram else None
        counts = np.bincount(levels.ravel(), minlength=256) if histogram and levels is not None else None
        fraction = float(np.count_nonzero(full >= THRESHOLD) / full.size)
        return Pictures(full, fraction, tinted, levels if grey else None, counts)
    full = np.empty((height, width), np.float32)
    tinted = None if frame is None else np.empty((height, width, 3), np.uint8)
    levels = np.empty((height, width), np.uint8) if grey else None
    counts = np.zeros(256, np.int64) if histogram else None
    blurred = cpu.postprocess(
        blur,
        width,
        height,
        full_map=full,
        grey=levels,
        overlay=tinted,
        histogram=counts,
        frame=frame,
        opacity=opacity,
        tint_bgr=TINT_BGR,
        threads=threads,
    )
    return Pictures(full, blurred / full.size, tinted, levels, counts)


def to_frame_size(blur: Map, width: int, height: int, *, threads: int = 0) -> Map:
    """Resize a map `(h, w)` bilinearly to `(height, width)` float32, within 0..1. `threads` as for `postprocess`."""
    if is_available():
        full = np.empty((height, width), np.float32)
        cpu.postprocess(blur, width, height, full_map=full, threads=threads)
        return full
    if blur.shape == (height, width):
        return np.clip(blur, 0.0, 1.0)
    resized = np.asarray(cv2.resize(blur, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    return np.clip(resized, 0.0, 1.0, out=resized)


def to_grey(blur: Map) -> NDArray[np.uint8]:
    """Grey levels of a map `(H, W)` 0..1: uint8, 255 = blurred, rounded to the nearest level."""
    return np.asarray(cv2.convertScaleAbs(blur, alpha=255.0), dtype=np.uint8)  # without float copies of large maps


def overlay(frame: Frame, blur: Map, opacity: float = LARGEST_OPACITY, *, threads: int = 0) -> Frame:
    """Tint what is blurred blue, and leave what is in focus as it is.

    Args:
        frame: uint8 `(H, W, 3)` BGR.
        blur: `(H, W)` float32, 0..1.
        opacity: of the tint where the map is 1; 0..1.
        threads: as for `postprocess`.

    Returns:
        uint8 `(H, W, 3)` BGR, a new array.
    """
    tinted = np.empty(frame.shape, np.uint8)
    if is_available():
        height, width = frame.shape[:2]
        cpu.postprocess(
            blur, width, height, overlay=tinted, frame=frame, opacity=opacity, tint_bgr=TINT_BGR, threads=threads
        )
        return tinted
    tint = np.full((min(STRIP_ROWS, len(frame)), *frame.shape[1:]), TINT_BGR, np.uint8)
    for top in range(0, len(frame), STRIP_ROWS):  # so that the weights of a large photograph need little memory
        rows = slice(top, top + STRIP_ROWS)
        weight = np.ascontiguousarray(blur[rows] * np.float32(opacity), dtype=np.float32)
        tinted[rows] = cv2.blendLinear(tint[: len(weight)], frame[rows], weight, 1.0 - weight)
    return tinted
