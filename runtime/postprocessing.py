"""From network output to what a user sees: the map at the frame's size, its figures, grey levels and an overlay.

The compiled library does the work where it is installed (`br2net.runtime.native`), else OpenCV: equal to one grey level and
1e-3.
"""

from dataclasses import dataclass
from enum import Flag, auto
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from br2net.runtime.native import cpu, is_available
from br2net.types import THRESHOLD, Frame, Grey, Map

if TYPE_CHECKING:
    from br2net.runtime.cuda.device_map import DeviceMap

TINT_BGR = (235, 80, 30)  # blue: distinct from warm skin and green leaves, for every kind of colour vision
DEFAULT_OPACITY = 0.6
STRIP_ROWS = 512


class Wanted(Flag):
    """Outputs of `Request.finish`; combine them with `|`. What is not asked for is neither computed nor copied."""

    MAP = auto()
    GREY = auto()
    FRACTION = auto()
    HISTOGRAM = auto()
    OVERLAY = auto()
    DEVICE_MAP = auto()


@dataclass(frozen=True, eq=False)
class Outputs:
    """Results for one frame; an output that was not asked for is None.

    Attributes:
        map: float32 `(H, W)` at the frame's size, 0 = in focus, 1 = blurred.
        grey: uint8 `(H, W)`, the map in 256 levels, 255 = blurred.
        blurred_fraction: share of the pixels whose map value is at least 0.5, 0..1.
        histogram: int64 `(256,)`, number of pixels of each grey level.
        overlay: uint8 `(H, W, 3)` BGR, the frame with its blurred parts tinted.
        device_map: the map in GPU memory.

    The arrays belong to the caller.
    """

    map: Map | None = None
    grey: Grey | None = None
    blurred_fraction: float | None = None
    histogram: NDArray[np.int64] | None = None
    overlay: Frame | None = None
    device_map: "DeviceMap | None" = None


def postprocess(
    blur: Map,
    frame: Frame,
    size: tuple[int, int],
    wanted: Wanted,
    *,
    opacity: float = DEFAULT_OPACITY,
    threads: int = 0,
) -> Outputs:
    """Compute the wanted outputs of one network map in one pass.

    Args:
        blur: float32 `(h, w)`, the network's output.
        frame: uint8 `(H, W, 3)` BGR; read for an overlay only.
        size: `(W, H)` of the frame, pixels.
        wanted: outputs to compute; DEVICE_MAP is not among those of a CPU.
        opacity: opacity of the tint where the map is 1; 0..1.
        threads: threads of the compiled library; 0 for OMP_NUM_THREADS, else all processors.
    """
    width, height = size
    if not is_available():
        return _postprocess_opencv(blur, frame, size, wanted, opacity)
    full = np.empty((height, width), np.float32) if Wanted.MAP in wanted else None
    grey = np.empty((height, width), np.uint8) if Wanted.GREY in wanted else None
    tinted = np.empty((height, width, 3), np.uint8) if Wanted.OVERLAY in wanted else None
    histogram = np.zeros(256, np.int64) if Wanted.HISTOGRAM in wanted else None
    blurred = cpu.postprocess(
        blur,
        width,
        height,
        full_map=full,
        grey=grey,
        overlay=tinted,
        histogram=histogram,
        frame=frame if tinted is not None else None,
        opacity=opacity,
        tint_bgr=TINT_BGR,
        threads=threads,
    )
    fraction = blurred / (width * height) if Wanted.FRACTION in wanted else None
    return Outputs(full, grey, fraction, histogram, tinted)


def resize_map(blur: Map, width: int, height: int) -> Map:
    """Resize a map `(h, w)` bilinearly to `(height, width)`, within 0..1."""
    full = postprocess(blur, np.empty((0, 0, 3), np.uint8), (width, height), Wanted.MAP).map
    assert full is not None
    return full


def _postprocess_opencv(blur: Map, frame: Frame, size: tuple[int, int], wanted: Wanted, opacity: float) -> Outputs:
    width, height = size
    full = blur
    if blur.shape != (height, width):
        full = np.asarray(cv2.resize(blur, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    full = np.clip(full, 0.0, 1.0)
    grey = to_grey(full) if wanted & (Wanted.GREY | Wanted.HISTOGRAM) else None
    counts = np.bincount(grey.ravel(), minlength=256) if grey is not None and Wanted.HISTOGRAM in wanted else None
    return Outputs(
        full if Wanted.MAP in wanted else None,
        grey if Wanted.GREY in wanted else None,
        blurred_fraction(full) if Wanted.FRACTION in wanted else None,
        counts,
        overlay(frame, full, opacity) if Wanted.OVERLAY in wanted else None,
    )


def blurred_fraction(blur: Map) -> float:
    """Return the share of the pixels of a map that are blurred (at least 0.5), 0..1."""
    return float(np.count_nonzero(blur >= THRESHOLD) / blur.size)


def to_grey(blur: Map) -> Grey:
    """Convert a map `(H, W)` 0..1 to grey levels: uint8, 255 = blurred, rounded to the nearest level."""
    return np.asarray(cv2.convertScaleAbs(blur, alpha=255.0), dtype=np.uint8)  # without float copies of large maps


def overlay(frame: Frame, blur: Map, opacity: float = DEFAULT_OPACITY, *, threads: int = 0) -> Frame:
    """Tint what is blurred blue, and leave what is in focus as it is.

    Args:
        frame: uint8 `(H, W, 3)` BGR.
        blur: float32 `(H, W)`, 0..1.
        opacity: opacity of the tint where the map is 1; 0..1.
        threads: as for `postprocess`.

    Returns:
        uint8 `(H, W, 3)` BGR, a new array.
    """
    if is_available():
        height, width = frame.shape[:2]
        outputs = postprocess(blur, frame, (width, height), Wanted.OVERLAY, opacity=opacity, threads=threads)
        assert outputs.overlay is not None
        return outputs.overlay
    tinted = np.empty(frame.shape, np.uint8)
    tint = np.full((min(STRIP_ROWS, len(frame)), *frame.shape[1:]), TINT_BGR, np.uint8)
    for top in range(0, len(frame), STRIP_ROWS):  # so that the weights of a large photograph need little memory
        rows = slice(top, top + STRIP_ROWS)
        weight = np.ascontiguousarray(blur[rows] * np.float32(opacity), dtype=np.float32)
        tinted[rows] = cv2.blendLinear(tint[: len(weight)], frame[rows], weight, 1.0 - weight)
    return tinted
